/** The wire format of protocol buffers (protobuf.dev/programming-guides/encoding), as far as ONNX uses it. */

/** A field of a message: a number, or the bytes of a string, of a message or of packed numbers. */
export interface WireField {
  number: number;
  value: number | Uint8Array;
  /** Fixed 32 and 64 bit values stay bytes: the message says whether they are floats. */
  fixed: boolean;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** The fields of a message in order. Throws RangeError where it is cut short or no such message. */
export function* readFields(bytes: Uint8Array): Generator<WireField> {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (length < 0 || at + length > bytes.length) throw new RangeError(`it ends after ${bytes.length} bytes of ${at + length}`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  const varint = (): number => {
    const [value, next] = readVarint(bytes, at);
    at = next;
    return value;
  };
  while (at < bytes.length) {
    const key = varint();
    const [number, kind] = [Math.floor(key / 8), key % 8];
    if (number === 0) throw new RangeError('it has a field of number 0');
    if (kind === VARINT) yield { number, value: varint(), fixed: false };
    else if (kind === BYTES) yield { number, value: take(varint()), fixed: false };
    else if (kind === FIXED32 || kind === FIXED64) yield { number, value: take(kind === FIXED32 ? 4 : 8), fixed: true };
    else throw new RangeError(`it has a field of kind ${kind}`);
  }
}

/** A number of seven bits a byte, read as a signed 64 bit one; beyond 2^53 it is rounded. */
function readVarint(bytes: Uint8Array, start: number): [value: number, next: number] {
  let value = 0n;
  for (let at = start, shift = 0n; at < bytes.length && shift < 70n; at++, shift += 7n) {
    const byte = bytes[at] as number;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [Number(BigInt.asIntN(64, value)), at + 1];
  }
  throw new RangeError('it ends inside of a number');
}

/** Packed numbers: several in one field. */
export function readPacked(bytes: Uint8Array): number[] {
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [value, next] = readVarint(bytes, at);
    values.push(value);
    at = next;
  }
  return values;
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Little-endian numbers one after another. */
export function readNumbers(bytes: Uint8Array, type: 'float32' | 'float64' | 'int64' | 'int32' | 'bool'): number[] {
  const size = { float32: 4, float64: 8, int64: 8, int32: 4, bool: 1 }[type];
  const data = view(bytes);
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => {
    const at = index * size;
    if (type === 'float32') return data.getFloat32(at, true);
    if (type === 'float64') return data.getFloat64(at, true);
    if (type === 'int32') return data.getInt32(at, true);
    return type === 'bool' ? data.getUint8(at) : Number(data.getBigInt64(at, true));
  });
}

export function readText(value: number | Uint8Array): string {
  return typeof value === 'number' ? '' : new TextDecoder().decode(value);
}
