/**
 * PyTorch's CUDA caching allocator with PYTORCH_ALLOC_CONF=expandable_segments:True (c10/cuda/CUDACachingAllocator.cpp:
 * get_free_block, find_expandable_block, map_block, unmap_block): each pool is one range of addresses, of which pages are
 * mapped as they are needed, 2 MiB of the pool of small requests and 20 MiB of the other, and unmapped to try again.
 */
import { MIB } from '../../units.js';
import type { CachingAllocatorOptions } from './cuda-caching.js';
import { MIN_BLOCK, roundSize, SMALL_SIZE } from './cuda-requests.js';

const PAGES = { small: 2 * MIB, large: 20 * MIB };

/** A stretch of a pool's addresses. */
interface Piece {
  address: number;
  size: number;
  state: 'used' | 'free' | 'unmapped';
  pool: Pool;
}

/** Pieces in the order of their addresses, without a gap; the last one is unmapped and has no end. */
class Pool {
  readonly pieces: Piece[] = [{ address: 0, size: Number.POSITIVE_INFINITY, state: 'unmapped', pool: this }];

  constructor(readonly page: number) {}

  /** Index of a piece. */
  at(piece: Piece): number {
    let [low, high] = [0, this.pieces.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.pieces[middle] as Piece).address < piece.address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Cuts a piece down to `size`; the rest is a piece of `state`. */
  cut(index: number, size: number, state: Piece['state']): void {
    const piece = this.pieces[index] as Piece;
    this.pieces.splice(index + 1, 0, { address: piece.address + size, size: piece.size - size, state, pool: this });
    piece.size = size;
  }

  /** Makes a piece one with neighbours of its state. Returns it. */
  join(index: number): Piece {
    const { pieces } = this;
    const [before, piece, after] = [pieces[index - 1], pieces[index] as Piece, pieces[index + 1]];
    if (after?.state === piece.state) {
      piece.size += after.size;
      pieces.splice(index + 1, 1);
    }
    if (before?.state !== piece.state) return piece;
    before.size += piece.size;
    pieces.splice(index, 1);
    return before;
  }

  /** Best fit among free pieces, where one counts with the unmapped one after it: what can grow is kept for what is large. */
  best(size: number): Piece | null {
    let best = this.nextBest(size, -1);
    while (best) {
      const next = this.grown(best) === best.size ? null : this.nextBest(best.size, best.address);
      if (!next || this.grown(next) >= this.grown(best)) return best;
      best = next;
    }
    return null;
  }

  /** The free piece that follows a size and an address in the order of both. */
  private nextBest(size: number, address: number): Piece | null {
    let best: Piece | null = null;
    for (let i = 0; i < this.pieces.length; i++) {
      const piece = this.pieces[i] as Piece;
      const follows = piece.size > size || (piece.size === size && piece.address > address);
      if (piece.state === 'free' && follows && (best === null || piece.size < best.size)) best = piece;
    }
    return best;
  }

  private grown(piece: Piece): number {
    const next = this.pieces[this.at(piece) + 1];
    return piece.size + (next?.state === 'unmapped' ? next.size : 0);
  }

  /** The lowest stretch without a used piece that begins with an unmapped one, or a free one before it, and has room. */
  expandable(size: number): number {
    const { pieces } = this;
    for (let i = 0; ; i++) {
      if (pieces[i]?.state !== 'unmapped') continue;
      for (const start of pieces[i - 1]?.state === 'free' ? [i - 1, i] : [i]) {
        let room = 0;
        for (let k = start; room < size && k < pieces.length && pieces[k]?.state !== 'used'; k++) room += pieces[k]?.size as number;
        if (room >= size) return start;
      }
    }
  }

  /** Unmaps the pages that lie within free pieces. Returns their bytes. */
  unmapFree(): number {
    let bytes = 0;
    for (let i = 0; i < this.pieces.length; i++) {
      const { address, size, state } = this.pieces[i] as Piece;
      const from = Math.ceil(address / this.page) * this.page;
      const to = Math.floor((address + size) / this.page) * this.page;
      if (state !== 'free' || from >= to) continue;
      if (to < address + size) this.cut(i, to - address, 'free');
      if (from > address) this.cut(i++, from - address, 'free');
      (this.pieces[i] as Piece).state = 'unmapped';
      i = this.at(this.join(i));
      bytes += to - from;
    }
    return bytes;
  }
}

export class ExpandableAllocator {
  private readonly small = new Pool(PAGES.small);
  private readonly large = new Pool(PAGES.large);
  private readonly capacity: number;
  allocated = 0;
  reserved = 0;
  peakAllocated = 0;
  peakReserved = 0;
  retries = 0;
  outOfMemory = false;

  constructor({ capacity = Number.POSITIVE_INFINITY }: CachingAllocatorOptions = {}) {
    this.capacity = capacity;
  }

  /** A piece of at least `bytes`; null for an optional one that finds no room. */
  allocate(bytes: number, optional = false): Piece | null {
    const size = roundSize(bytes);
    const pool = size <= SMALL_SIZE ? this.small : this.large;
    const piece = pool.best(size) ?? this.expand(pool, size, optional);
    if (!piece) return null;
    piece.state = 'used';
    if (piece.size - size >= MIN_BLOCK) pool.cut(pool.at(piece), size, 'free');
    this.allocated += piece.size;
    this.peakAllocated = Math.max(this.peakAllocated, this.allocated);
    return piece;
  }

  free(piece: Piece): void {
    this.allocated -= piece.size;
    piece.state = 'free';
    piece.pool.join(piece.pool.at(piece));
  }

  private expand(pool: Pool, size: number, optional: boolean): Piece | null {
    const piece = this.mapped(pool, size);
    if (piece) return piece;
    this.retries++;
    this.reserved -= this.small.unmapFree() + this.large.unmapFree();
    const again = this.mapped(pool, size);
    if (again || optional) return again;
    this.outOfMemory = true;
    return this.mapped(pool, size, Number.POSITIVE_INFINITY);
  }

  /** A free piece of at least `size`, with pages mapped to it as they lie; null where the capacity ends before. */
  private mapped(pool: Pool, size: number, capacity = this.capacity): Piece | null {
    let piece = pool.pieces[pool.expandable(size)] as Piece;
    for (let have = piece.state === 'free' ? piece.size : 0; have < size; have = piece.size) {
      const index = pool.at(piece) + (piece.state === 'free' ? 1 : 0);
      const unmapped = pool.pieces[index] as Piece;
      const bytes = Math.ceil(Math.min(size - have, unmapped.size) / pool.page) * pool.page;
      if (this.reserved + bytes > capacity) return null;
      this.reserved += bytes;
      this.peakReserved = Math.max(this.peakReserved, this.reserved);
      if (bytes < unmapped.size) pool.cut(index, bytes, 'unmapped');
      unmapped.state = 'free';
      piece = pool.join(index);
    }
    return piece;
  }
}
