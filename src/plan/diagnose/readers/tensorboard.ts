/** TensorBoard event files: TFRecord frames around Event messages, decoded without a protobuf library. */
import { emptyLog, type Point, preferName, roleOf, type TrainingLog } from '../log.js';

export interface EventFile {
  /** Path below the log folder; its folder says which curve a shared tag belongs to ("train", "validation"). */
  path: string;
  bytes: Uint8Array;
}

/** Whether bytes start with a TFRecord frame: a length and its masked checksum. */
export function isEventFile(bytes: Uint8Array): boolean {
  return bytes.length >= 16 && frameLength(bytes, 0) !== null;
}

/** Reads the scalars of one run from all its event files; a frame cut short at the end is left out. */
export function readEventFiles(files: EventFile[]): TrainingLog {
  const log = emptyLog('tensorboard', 'step');
  const series = new Map<string, Point[]>();
  let cut = 0;
  for (const { path, bytes } of files) {
    const folder = path.split('/').slice(0, -1).join('/');
    const { scalars, complete } = readScalars(bytes);
    if (!complete) cut += 1;
    for (const { tag, step, value } of scalars) {
      const name = folder === '' ? tag : `${folder}/${tag}`;
      series.set(name, [...(series.get(name) ?? []), { step, value }]);
    }
  }
  const named = (role: 'train' | 'validation') => preferName([...series.keys()].filter((name) => roleOf(name) === role));
  const take = (name: string | null) => (name === null ? [] : [...series.get(name)!].sort((a, b) => a.step - b.step));
  log.names = { train: named('train'), validation: named('validation') };
  log.train = take(log.names.train);
  log.validation = take(log.names.validation);
  log.gradientNorm = take([...series.keys()].find((name) => /grad(ient)?_?norm/i.test(name)) ?? null);
  log.learningRate = take([...series.keys()].find((name) => /(^|\/)(lr|learning_rate)/i.test(name)) ?? null);
  log.unit = /epoch/.test(`${log.names.train}${log.names.validation}`) ? 'epoch' : 'step';
  if (cut > 0) {
    log.warnings.push({
      code: 'LOG_CUT_SHORT',
      message: `${cut} event file${cut === 1 ? '' : 's'} end in the middle of a record`,
      hint: 'the run may still be writing; what came before was read',
    });
  }
  return log;
}

interface Scalar {
  tag: string;
  step: number;
  value: number;
}

function readScalars(bytes: Uint8Array): { scalars: Scalar[]; complete: boolean } {
  const scalars: Scalar[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const length = frameLength(bytes, offset);
    const start = offset + 12;
    if (length === null || start + length + 4 > bytes.length) return { scalars, complete: false };
    scalars.push(...readEvent(bytes.subarray(start, start + length)));
    offset = start + length + 4;
  }
  return { scalars, complete: true };
}

/** Frame: u64 length, u32 masked crc32c of it, data, u32 masked crc32c of the data. Null when the checksum is wrong. */
function frameLength(bytes: Uint8Array, offset: number): number | null {
  if (offset + 12 > bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, 12);
  const length = Number(view.getBigUint64(0, true));
  return view.getUint32(8, true) === maskedCrc(bytes.subarray(offset, offset + 8)) ? length : null;
}

type Field = { number: number; value: bigint | Uint8Array };

/** The fields of a protobuf message: varints and fixed numbers as bigint, the rest as bytes. */
function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; offset < bytes.length; shift += 7n) {
      const byte = bytes[offset++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (offset < bytes.length) {
    const key = Number(varint());
    const number = key >> 3;
    const kind = key & 7;
    if (kind === 0) yield { number, value: varint() };
    else if (kind === 1 && offset + 8 <= bytes.length) {
      yield { number, value: view.getBigUint64(offset, true) };
      offset += 8;
    } else if (kind === 5 && offset + 4 <= bytes.length) {
      yield { number, value: BigInt(view.getUint32(offset, true)) };
      offset += 4;
    } else if (kind === 2) {
      const length = Number(varint());
      yield { number, value: bytes.subarray(offset, offset + length) };
      offset += length;
    } else return;
  }
}

const float = (bits: bigint) => {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
};

/** Event { step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2, tensor = 8 } } }. */
function readEvent(bytes: Uint8Array): Scalar[] {
  let step = 0;
  const scalars: Scalar[] = [];
  for (const { number, value } of fieldsOf(bytes)) {
    if (number === 2 && typeof value === 'bigint') step = Number(BigInt.asIntN(64, value));
    if (number !== 5 || typeof value === 'bigint') continue;
    for (const entry of fieldsOf(value)) {
      if (entry.number !== 1 || typeof entry.value === 'bigint') continue;
      const scalar = readValue(entry.value);
      if (scalar) scalars.push({ ...scalar, step: 0 });
    }
  }
  return scalars.map((scalar) => ({ ...scalar, step }));
}

function readValue(bytes: Uint8Array): { tag: string; value: number } | null {
  let tag = '';
  let value: number | null = null;
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1 && typeof field.value !== 'bigint') tag = new TextDecoder().decode(field.value);
    if (field.number === 2 && typeof field.value === 'bigint') value = float(field.value);
    if (field.number === 8 && typeof field.value !== 'bigint') value = readTensor(field.value);
  }
  return value === null ? null : { tag, value };
}

/** TensorProto { dtype = 1, tensor_content = 4, float_val = 5, double_val = 6 }: a scalar float (1) or double (2), else null. */
function readTensor(bytes: Uint8Array): number | null {
  let dtype = 0;
  let content: Uint8Array | null = null;
  let single: number | null = null;
  for (const { number, value } of fieldsOf(bytes)) {
    if (number === 1 && typeof value === 'bigint') dtype = Number(value);
    if (number === 4 && typeof value !== 'bigint') content = value;
    if (number === 5) single = typeof value === 'bigint' ? float(value) : value.length === 4 ? viewOf(value).getFloat32(0, true) : null;
    if (number === 6 && typeof value !== 'bigint' && value.length === 8) single = viewOf(value).getFloat64(0, true);
  }
  if (content?.length === 4 && dtype === 1) return viewOf(content).getFloat32(0, true);
  if (content?.length === 8 && dtype === 2) return viewOf(content).getFloat64(0, true);
  return single;
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** CRC-32C (Castagnoli), reflected, and TensorFlow's mask on it. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  crc = (crc ^ 0xffffffff) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
