/**
 * Tensors of a CPU: PyTorch asks posix_memalign for 64 B alignment (c10/core/impl/alloc_cpu.cpp), and glibc maps what is
 * larger than 128 KiB page by page and gives it back when it is freed (mallopt(3), M_MMAP_THRESHOLD); smaller blocks
 * come from a heap that stays as large as it was.
 */
import { KIB } from '../../units.js';

const PAGE = 4 * KIB;
const MAPPED_FROM = 128 * KIB;
const ALIGNMENT = 64;
/** Size and flags of a block, in front of it. */
const HEADER = 16;

/** Bytes that a request takes. */
export function roundMalloc(bytes: number): number {
  const size = bytes + HEADER;
  if (bytes < MAPPED_FROM) return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
  return Math.ceil((size + ALIGNMENT) / PAGE) * PAGE;
}

export class MallocAllocator {
  allocated = 0;
  peakAllocated = 0;
  private heap = 0;
  private heapPeak = 0;
  private mapped = 0;
  peakReserved = 0;

  /** Takes a block and returns its size, which `free` wants back. */
  allocate(bytes: number): number {
    const size = roundMalloc(bytes);
    this.allocated += size;
    if (bytes < MAPPED_FROM) this.heap += size;
    else this.mapped += size;
    this.heapPeak = Math.max(this.heapPeak, this.heap);
    this.peakAllocated = Math.max(this.peakAllocated, this.allocated);
    this.peakReserved = Math.max(this.peakReserved, this.heapPeak + this.mapped);
    return size;
  }

  free(size: number): void {
    this.allocated -= size;
    if (size < MAPPED_FROM) this.heap -= size;
    else this.mapped -= size;
  }
}
