/** Reads arrays that NumPy saved with `np.savez` or `np.savez_compressed` (NEP 1, the .npy format). */
import { readArchive } from '../../archive.js';

/** Floating-point numbers as float32, whole numbers and booleans as int32. */
export interface NumberArray {
  shape: number[];
  data: Float32Array | Int32Array;
}

const MAGIC = '\x93NUMPY';

type Read = (bytes: Buffer, at: number) => number;
const READERS: Record<string, [kind: 'float' | 'whole', bytes: number, read: Read]> = {
  f2: ['float', 2, (bytes, at) => fromHalf(bytes.readUInt16LE(at))],
  f4: ['float', 4, (bytes, at) => bytes.readFloatLE(at)],
  f8: ['float', 8, (bytes, at) => bytes.readDoubleLE(at)],
  b1: ['whole', 1, (bytes, at) => bytes.readUInt8(at)],
  i1: ['whole', 1, (bytes, at) => bytes.readInt8(at)],
  i2: ['whole', 2, (bytes, at) => bytes.readInt16LE(at)],
  i4: ['whole', 4, (bytes, at) => bytes.readInt32LE(at)],
  i8: ['whole', 8, (bytes, at) => Number(bytes.readBigInt64LE(at))],
  u1: ['whole', 1, (bytes, at) => bytes.readUInt8(at)],
  u2: ['whole', 2, (bytes, at) => bytes.readUInt16LE(at)],
  u4: ['whole', 4, (bytes, at) => bytes.readUInt32LE(at)],
  u8: ['whole', 8, (bytes, at) => Number(bytes.readBigUInt64LE(at))],
};

/** The arrays by name, in the order in which they were saved. Throws RangeError with what is wrong. */
export function readNpz(file: Buffer): Map<string, NumberArray> {
  const arrays = new Map<string, NumberArray>();
  for (const [name, bytes] of readArchive(file)) {
    if (name.endsWith('.npy')) arrays.set(name.slice(0, -'.npy'.length), readNpy(bytes, name));
  }
  return arrays;
}

function readNpy(bytes: Buffer, name: string): NumberArray {
  if (bytes.toString('latin1', 0, 6) !== MAGIC) throw new RangeError(`${name} is no array of NumPy`);
  const isFirst = bytes.readUInt8(6) === 1;
  const start = isFirst ? 10 : 12;
  const length = isFirst ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  const header = bytes.toString('latin1', start, start + length);
  const type = /'descr':\s*'([<>|=])(\w+)'/.exec(header);
  const found = type?.[1] === '>' ? undefined : READERS[type?.[2] ?? ''];
  if (!found)
    throw new RangeError(
      `${name}: its type ${/'descr':\s*([^,]*)/.exec(header)?.[1] ?? 'is missing and'} is not one of ${Object.keys(READERS).join(', ')}`,
    );
  if (/'fortran_order':\s*True/.test(header)) throw new RangeError(`${name} is in Fortran order: save np.ascontiguousarray of it`);
  const shape = [...(/'shape':\s*\(([^)]*)\)/.exec(header)?.[1] ?? '').matchAll(/\d+/g)].map(Number);
  return { shape, data: numbersOf(bytes.subarray(start + length), shape, found, name) };
}

function numbersOf(bytes: Buffer, shape: number[], [kind, width, read]: (typeof READERS)[string], name: string): NumberArray['data'] {
  const count = shape.reduce((product, size) => product * size, 1);
  if (bytes.length < count * width) throw new RangeError(`${name} was cut short`);
  const data = kind === 'float' ? new Float32Array(count) : new Int32Array(count);
  for (let index = 0; index < count; index++) {
    const value = read(bytes, index * width);
    data[index] = value;
    if (kind === 'whole' && data[index] !== value) throw new RangeError(`${name} holds ${value}, which is more than 32 bits`);
  }
  return data;
}

/** IEEE 754 binary16. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
