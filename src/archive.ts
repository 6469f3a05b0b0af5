/** Reads the members of a ZIP archive (PKWARE APPNOTE 6.3, sections 4.3 and 4.4): stored or deflated, below 4 GiB. */
import { inflateRawSync } from 'node:zlib';

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 65535;
const ZIP64 = 0xffffffff;

/** Members by name, in the archive's order; only those of `wanted` where it is given. Throws RangeError with what is wrong. */
export function readArchive(file: Buffer, wanted?: readonly string[]): Map<string, Buffer> {
  const end = findEnd(file);
  const members = new Map<string, Buffer>();
  let at = file.readUInt32LE(end + 16);
  for (let left = file.readUInt16LE(end + 10); left > 0; left--) {
    if (at + 46 > file.length || file.readUInt32LE(at) !== CENTRAL) throw new RangeError('its ZIP directory is damaged');
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => file.readUInt16LE(at + offset)) as [number, number, number];
    const name = file.toString('utf8', at + 46, at + 46 + nameBytes);
    if (!wanted || wanted.includes(name)) members.set(name, readMember(file, at, name));
    at += 46 + nameBytes + extraBytes + commentBytes;
  }
  return members;
}

function findEnd(file: Buffer): number {
  for (let at = file.length - END_BYTES; at >= Math.max(0, file.length - END_BYTES - LONGEST_COMMENT); at--) {
    if (file.readUInt32LE(at) === END) return at;
  }
  throw new RangeError('it is no ZIP archive, or was cut short');
}

function readMember(file: Buffer, entry: number, name: string): Buffer {
  const method = file.readUInt16LE(entry + 10);
  const [packedBytes, bytes, local] = [20, 24, 42].map((offset) => file.readUInt32LE(entry + offset)) as [number, number, number];
  if (packedBytes === ZIP64 || bytes === ZIP64 || local === ZIP64) throw new RangeError(`${name} is larger than 4 GiB`);
  if (local + 30 > file.length || file.readUInt32LE(local) !== LOCAL) throw new RangeError(`${name} is damaged`);
  const start = local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28);
  const packed = file.subarray(start, start + packedBytes);
  if (method !== 0 && method !== 8) throw new RangeError(`${name} is packed with method ${method}, not stored or deflated`);
  const data = method === 0 ? packed : inflate(packed, bytes, name);
  if (data.length !== bytes) throw new RangeError(`${name} was cut short: ${data.length} of ${bytes} bytes`);
  return data;
}

function inflate(packed: Buffer, bytes: number, name: string): Buffer {
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(1, bytes) });
  } catch (error) {
    throw new RangeError(`${name} cannot be unpacked: ${(error as Error).message}`);
  }
}
