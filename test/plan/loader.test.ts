import { describe, expect, it } from 'vitest';
import { adviseLoader } from '../../src/plan/loader.js';

const request = { micro: 64, replicas: 1, usableCores: 16, sampleBytes: 1000, accelerator: true };

describe('adviseLoader', () => {
  it('counts workers * prefetch batches in flight, and the pinned copies', () => {
    expect(adviseLoader(request)).toMatchObject({ workers: 4, prefetch: 2, pinMemory: true, hostBytes: 4 * 2 * 64 * 1000 * 2 });
    expect(adviseLoader({ ...request, accelerator: false })).toMatchObject({ pinMemory: false, hostBytes: 4 * 2 * 64 * 1000 });
  });
  it('takes no more workers than cores, shared by the replicas', () => {
    expect(adviseLoader({ ...request, usableCores: 2 }).workers).toBe(2);
    expect(adviseLoader({ ...request, usableCores: 8, replicas: 4 }).workers).toBe(2);
    expect(adviseLoader({ ...request, usableCores: 1, replicas: 4 })).toMatchObject({ workers: 0, hostBytes: 4 * 64 * 1000 * 2 });
  });
  it('grows linearly with the micro batch, and says nothing of bytes that it does not know', () => {
    expect(adviseLoader({ ...request, micro: 128 }).hostBytes).toBe(adviseLoader(request).hostBytes! * 2);
    expect(adviseLoader({ ...request, sampleBytes: null }).hostBytes).toBeNull();
  });
});
