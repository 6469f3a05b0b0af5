import { describe, expect, it } from 'vitest';
import { CachingAllocator } from '../../src/memory/allocators/cuda-caching.js';
import { roundSize } from '../../src/memory/allocators/cuda-requests.js';
import { createRandom } from '../../src/random.js';
import { GIB, MIB } from '../../src/units.js';

describe('the CUDA caching allocator', () => {
  it('rounds requests to 512 bytes', () => {
    expect([1, 512, 513, 1024, 1025].map(roundSize)).toEqual([512, 512, 1024, 1024, 1536]);
  });

  it('cuts small requests from 2 MiB segments, middling ones from 20 MiB, large ones from their own rounded to 2 MiB', () => {
    const reservedBy = (bytes: number): number => {
      const allocator = new CachingAllocator();
      allocator.allocate(bytes);
      return allocator.reserved;
    };
    expect(reservedBy(4)).toBe(2 * MIB);
    expect(reservedBy(MIB)).toBe(2 * MIB);
    expect(reservedBy(MIB + 1)).toBe(20 * MIB);
    expect(reservedBy(10 * MIB - 512)).toBe(20 * MIB);
    expect(reservedBy(10 * MIB)).toBe(10 * MIB);
    expect(reservedBy(11 * MIB)).toBe(12 * MIB);
  });

  it('reuses the best fitting free block and merges neighbours', () => {
    const allocator = new CachingAllocator();
    const [a, b, c] = [6, 6, 6].map((n) => allocator.allocate(n * MIB));
    expect(allocator.reserved).toBe(20 * MIB);
    allocator.free(a!);
    allocator.free(b!);
    // 6 + 6 MiB are one block again: 9 MiB fit without another segment.
    allocator.allocate(9 * MIB);
    expect(allocator.reserved).toBe(20 * MIB);
    allocator.free(c!);
    expect(allocator.allocated).toBe(9 * MIB);
  });

  it('does not split a large block whose rest would be 1 MiB or less', () => {
    const allocator = new CachingAllocator();
    allocator.free(allocator.allocate(12 * MIB));
    allocator.allocate(11 * MIB);
    expect(allocator.allocated).toBe(12 * MIB);
  });

  it('frees cached segments and tries again before it gives up', () => {
    const allocator = new CachingAllocator({ capacity: GIB });
    allocator.free(allocator.allocate(600 * MIB));
    allocator.allocate(700 * MIB);
    expect(allocator.retries).toBe(1);
    expect(allocator.outOfMemory).toBe(false);
    allocator.allocate(400 * MIB);
    expect(allocator.outOfMemory).toBe(true);
  });
});

interface Piece {
  size: number;
  address: number;
  segment: number;
  small: boolean;
  free: boolean;
}

/** The same rules in the plainest form: all pieces of all segments in one list in the order of addresses, searched as a whole. */
class PlainAllocator {
  pieces: Piece[] = [];
  reserved = 0;
  peakReserved = 0;
  retries = 0;
  outOfMemory = false;
  private segments = 0;
  private address = 0;

  constructor(private readonly options: { capacity?: number }) {}

  allocate(bytes: number): Piece {
    const size = roundSize(bytes);
    const small = size <= MIB;
    const fitting = this.pieces.filter((piece) => piece.free && piece.small === small && piece.size >= size);
    fitting.sort((a, b) => a.size - b.size || a.address - b.address);
    const piece = fitting[0] ?? this.newSegment(size, small);
    const rest = piece.size - size;
    if (small ? rest >= 512 : rest > MIB) {
      const remaining = { ...piece, size: rest, address: piece.address + size, free: true };
      this.pieces.splice(this.pieces.indexOf(piece) + 1, 0, remaining);
      piece.size = size;
    }
    piece.free = false;
    return piece;
  }

  private newSegment(size: number, small: boolean): Piece {
    const bytes = small ? 2 * MIB : size < 10 * MIB ? 20 * MIB : Math.ceil(size / (2 * MIB)) * 2 * MIB;
    const capacity = this.options.capacity ?? Number.POSITIVE_INFINITY;
    if (this.reserved + bytes > capacity) {
      this.retries++;
      const whole = this.pieces.filter(
        (piece) => piece.free && this.pieces.filter(({ segment }) => segment === piece.segment).length === 1,
      );
      for (const piece of whole) this.reserved -= piece.size;
      this.pieces = this.pieces.filter((piece) => !whole.includes(piece));
      if (this.reserved + bytes > capacity) this.outOfMemory = true;
    }
    this.reserved += bytes;
    this.peakReserved = Math.max(this.peakReserved, this.reserved);
    const piece = { size: bytes, address: this.address, segment: this.segments++, small, free: false };
    this.address += bytes + GIB;
    this.pieces.push(piece);
    return piece;
  }

  free(piece: Piece): void {
    piece.free = true;
    this.join(this.pieces.indexOf(piece));
    this.join(this.pieces.indexOf(piece) - 1);
  }

  /** Makes the piece at an index and the next one one, where both are free pieces of a segment. */
  private join(at: number): void {
    const [piece, next] = [this.pieces[at], this.pieces[at + 1]];
    if (!piece?.free || !next?.free || piece.segment !== next.segment) return;
    piece.size += next.size;
    this.pieces.splice(at + 1, 1);
  }
}

describe('blocks by size and address', () => {
  const variants = [{}, { capacity: 900 * MIB }];
  it.each(variants)('are chosen, cut and merged as in the plainest allocator, in 30 random runs with %j', (options) => {
    const allocator = new CachingAllocator(options);
    for (let seed = 0; seed < 30; seed++) {
      const random = createRandom(seed);
      const plain = new PlainAllocator(options);
      allocator.reset(options);
      // As in training, many requests are of few sizes; as in a search, the rest are of any.
      const usual = Array.from({ length: 6 }, () => 2 ** (24 * random() + 2));
      const live: { block: number; piece: Piece }[] = [];
      for (let i = 0; i < 500; i++) {
        if (live.length > 0 && random() < 0.48) {
          const [gone] = live.splice(Math.floor(random() * live.length), 1);
          allocator.free(gone!.block);
          plain.free(gone!.piece);
        } else {
          const bytes = random() < 0.7 ? usual[Math.floor(random() * usual.length)]! : 2 ** (24 * random() + 2);
          live.push({ block: allocator.allocate(bytes), piece: plain.allocate(bytes) });
        }
        const { reserved, peakReserved, retries, outOfMemory } = plain;
        const allocated = plain.pieces.reduce((sum, { size, free }) => (free ? sum : sum + size), 0);
        expect(allocator).toMatchObject({ allocated, reserved, peakReserved, retries, outOfMemory });
      }
    }
  });
});
