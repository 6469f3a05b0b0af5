import { describe, expect, it } from 'vitest';
import type { ChildResult } from '../../src/probe/child.js';
import { classify, findOutOfMemory } from '../../src/probe/outcome.js';
import { readReport } from '../../src/probe/report.js';

const ended = (some: Partial<ChildResult>): ChildResult => ({
  exitCode: 0,
  signal: null,
  timedOut: false,
  reportText: '',
  stdout: '',
  stderr: '',
  processPeakBytes: null,
  oomKills: { inChild: 0, around: 0 },
  cap: { kind: 'cgroup', capBytes: 1024, cgroup: null, command: ['x'], environment: {}, warnings: [] },
  seconds: 1,
  warnings: [],
  ...some,
});

/** What users of these frameworks reported in public issues, word for word. */
const OUT_OF_MEMORY: Record<string, ['device' | 'host', string]> = {
  'PyTorch on CUDA': [
    'device',
    'torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 23.69 GiB total capacity)',
  ],
  'PyTorch 2.5 on CUDA': [
    'device',
    'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB',
  ],
  'PyTorch on ROCm': ['device', 'torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.95 GiB.'],
  'PyTorch on MPS': [
    'device',
    'RuntimeError: MPS backend out of memory (MPS allocated: 17.65 GB, other allocations: 345.35 MB, max allowed: 18.13 GB).',
  ],
  'the CUDA runtime': ['device', 'RuntimeError: CUDA error: out of memory'],
  cuBLAS: ['device', 'RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'],
  cuDNN: ['device', 'RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED'],
  'PyTorch on CPU': [
    'host',
    "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)",
  ],
  'TensorFlow on a GPU': [
    'device',
    'OOM when allocating tensor with shape[256,512,28,28] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc',
  ],
  'TensorFlow 2': ['device', 'tensorflow.python.framework.errors_impl.ResourceExhaustedError: Graph execution error:'],
  JAX: ['device', 'jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4294967296 bytes.'],
  NumPy: [
    'host',
    'numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array with shape (1000, 1000, 1000) and data type float64',
  ],
  Python: ['host', 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\nMemoryError'],
  'C++': ['host', "terminate called after throwing an instance of 'std::bad_alloc'"],
};

describe('findOutOfMemory', () => {
  it.each(Object.entries(OUT_OF_MEMORY))('knows %s', (_, [where, text]) => {
    expect(findOutOfMemory(`Epoch 1\n${text}\n`)?.where).toBe(where);
  });

  it('finds nothing in other failures', () => {
    for (const text of [
      'RuntimeError: CUDA error: device-side assert triggered',
      'KeyError: "memory"',
      'Segmentation fault',
      'ran out of patience',
    ]) {
      expect(findOutOfMemory(text)).toBeNull();
    }
  });
});

describe('classify', () => {
  const verdict = (some: Partial<ChildResult>) => classify(ended(some), null, false);

  it('tells the five endings apart', () => {
    expect(verdict({}).outcome).toBe('fits');
    expect(verdict({ exitCode: 1, stderr: 'MemoryError' }).outcome).toBe('oom');
    expect(verdict({ exitCode: null, signal: 'SIGTERM', timedOut: true }).outcome).toBe('timeout');
    expect(verdict({ exitCode: 1, stderr: 'ZeroDivisionError: division by zero' })).toEqual({
      outcome: 'crash',
      evidence: 'exit code 1: ZeroDivisionError: division by zero',
    });
    expect(classify(ended({}), readReport('{"schema":"batchfit/trial-report@1","status":"unsupported","error":"no such"}'), true)).toEqual({
      outcome: 'unsupported',
      evidence: 'no such',
    });
  });

  it('takes SIGKILL for out of memory only with a count of the kernel', () => {
    const killed = { exitCode: null, signal: 'SIGKILL' as const };
    expect(verdict({ ...killed, oomKills: { inChild: 1, around: 1 } }).outcome).toBe('oom');
    expect(verdict({ ...killed, oomKills: { inChild: null, around: 1 } }).outcome).toBe('oom');
    expect(verdict({ ...killed, oomKills: { inChild: 0, around: 0 } }).outcome).toBe('crash');
    expect(verdict({ exitCode: 1, oomKills: { inChild: 0, around: 1 } }).outcome).toBe('crash');
  });

  it('does not let a killed grandchild pass for a success', () => {
    expect(verdict({ exitCode: 0, oomKills: { inChild: 1, around: 1 } }).outcome).toBe('oom');
  });

  it('does not believe an exit code of 0 without the report that belongs to it', () => {
    expect(classify(ended({}), null, true).outcome).toBe('crash');
  });
});

describe('readReport', () => {
  const done = '{"schema":"batchfit/trial-report@1","status":"done","stepSeconds":[0.5],"processPeakBytes":7}';

  it('takes the last valid line and ignores short and foreign ones', () => {
    expect(readReport(`noise\n${done}\n{"schema":"other@1","status":"done"}\n{"schema":"batchfit/trial-rep`)).toMatchObject({
      status: 'done',
      stepSeconds: [0.5],
      processPeakBytes: 7,
      peakBytes: null,
    });
    expect(readReport('')).toBeNull();
    expect(readReport('{"schema":"batchfit/trial-report@2","status":"done"}')).toBeNull();
  });
});
