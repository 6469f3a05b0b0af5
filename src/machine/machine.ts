/** What a computer has that matters for training: the nouns of this room. No reading happens here. */
import type { Warning } from '../errors.js';
import type { Bytes, Source } from '../units.js';

export const DEVICE_KINDS = ['cuda', 'rocm', 'mps', 'cpu', 'tpu', 'hpu', 'xpu'] as const;
export type DeviceKind = (typeof DEVICE_KINDS)[number];

/**
 * What keeps the processes here from taking more memory: the machine itself, a cgroup (a container, a job scheduler,
 * a systemd slice), or a limit that only the JavaScript runtime could read.
 */
export const MEMORY_LIMITERS = ['host', 'cgroup-v1', 'cgroup-v2', 'runtime'] as const;
export type MemoryLimiter = (typeof MEMORY_LIMITERS)[number];

/** What keeps this process from more cores: the machine, its CPU affinity (taskset, cpuset), or a cgroup's CPU quota. */
export const CORE_LIMITERS = ['host', 'affinity', 'cgroup-v1', 'cgroup-v2'] as const;
export type CoreLimiter = (typeof CORE_LIMITERS)[number];

export interface Cpu {
  model: string;
  physicalCores: number;
  logicalCores: number;
  /** Threads worth starting: under affinity and quota, at least 1. A quota of 2.5 cores counts as 2. */
  usableCores: number;
  coresLimitedBy: CoreLimiter;
  /** The CPU quota in cores where there is one (2.5), null without. */
  quotaCores: number | null;
}

/** What the peak rates of one core follow from; null where it is not known. */
export interface CpuCore {
  /** The instruction set that its vector units are as wide as. */
  vector: 'avx2' | 'avx512' | 'neon' | null;
  /** Instructions that multiply bfloat16. */
  bf16: 'amx' | 'avx512' | null;
  /** Base clock, cycles per second. */
  hertz: number | null;
}

export interface HostMemory {
  /** RAM of the machine. */
  totalBytes: Bytes;
  /** The most that all processes under the tightest limit may use together; equals totalBytes without a limit. */
  limitBytes: Bytes;
  /** What a new process can get now: the least of MemAvailable and, per limit, limit - usage + inactive file cache. */
  availableBytes: Bytes;
  limitedBy: MemoryLimiter;
  /** The file that the tightest limit was read from, null when the machine itself is the limit. */
  limitPath: string | null;
}

export interface Host {
  os: string;
  cpu: Cpu;
  memory: HostMemory;
}

export interface DeviceMemory {
  totalBytes: Bytes | null;
  freeBytes: Bytes | null;
  usedByOthersBytes: Bytes | null;
  source: Source;
  /** What the figures were read from: "nvidia-smi", "/proc/meminfo", "sysfs" ... */
  readFrom: string;
}

/** A process that holds memory of a device now. */
export interface DeviceProcess {
  pid: number;
  name: string;
  usedBytes: Bytes | null;
}

/** Multi-instance GPU: on a whole card whether it is on; on an instance which slice of which card it is. */
export interface Mig {
  enabled: boolean;
  /** "1g.5gb" on an instance, null on a whole card. */
  profile: string | null;
  /** Id of the card that an instance is cut from. */
  parent: string | null;
  gpuInstance: number | null;
  computeInstance: number | null;
  /** Streaming multiprocessors of an instance. */
  multiprocessors: number | null;
}

export interface Device {
  /** "cuda:0" (nvidia-smi's index, PCI bus order), "cuda:0/mig:1", "rocm:0", "mps", "cpu". */
  id: string;
  kind: DeviceKind;
  name: string;
  uuid: string | null;
  memory: DeviceMemory;
  /** "8.6" for CUDA, "gfx942" for ROCm, null elsewhere. */
  computeCapability: string | null;
  driver: string | null;
  mig: Mig | null;
  /** The device shares the host's memory. */
  unified: boolean;
  /** A program started now would see it (visible-devices variables, MIG mode, kernel driver). */
  visible: boolean;
  /** Why it is not visible or not fully read, null when all is well. */
  note: string | null;
  processes: DeviceProcess[];
}

export const TOOL_STATUSES = ['ok', 'missing', 'no-device', 'failed', 'timeout'] as const;
export type ToolStatus = (typeof TOOL_STATUSES)[number];

/** How reading one vendor's devices went; `missing`, `failed`, `timeout` and `no-device` are four different states. */
export interface Tool {
  name: string;
  status: ToolStatus;
  /** The tool's own words when it is not `ok`. */
  reason: string | null;
}

export interface Machine {
  host: Host;
  devices: Device[];
  tools: Tool[];
  warnings: Warning[];
}

export const RATE_DTYPES = ['fp64', 'fp32', 'tf32', 'fp16', 'bf16', 'fp8', 'int8'] as const;
export type RateDtype = (typeof RATE_DTYPES)[number];

/** One device of `profiles/devices/`. A figure that could not be verified is left out (null), never guessed. */
export interface DeviceProfile {
  /** File name without extension: "rtx-3090". */
  name: string;
  /** The driver's and the market's names; matched without case, blanks and punctuation. */
  aliases: string[];
  kind: DeviceKind;
  vendor: string;
  architecture: string | null;
  computeCapability: string | null;
  memory: {
    /** As the driver prints it (nvidia-smi's total). */
    totalBytes: Bytes | null;
    /** What one process can get at most, its own context included (the total that the CUDA runtime reports). */
    usableBytes: Bytes | null;
    unified: boolean;
  };
  bandwidthBytesPerSecond: number | null;
  /** Dense peak rates in operations per second (no sparsity, FP32 accumulation); matrix units where the dtype has them. */
  peakFlops: Partial<Record<RateDtype, number>>;
  /** Streaming multiprocessors, compute units, GPU cores: what schedules work. */
  multiprocessors: number | null;
  /** Generation of the matrix units (Volta 1 ... Blackwell 5). */
  tensorCores: number | null;
  /** Fastest link to other devices of a machine: bytes per second in one direction, all links together. */
  interconnect: { name: string; bytesPerSecond: number | null } | null;
  powerWatts: number | null;
  /** [rows, columns] that the compiler pads the two minor dimensions of an array of 32-bit elements to (TPU); null elsewhere. */
  tileElements: [number, number] | null;
  /** Where each figure is from, by field name. */
  sources: Record<string, string>;
  notes: string | null;
}

/** The device that an estimate, a plan or a check is for. */
export interface TargetDevice {
  name: string;
  kind: DeviceKind;
  /** Equal devices that a job here could use. */
  count: number;
  totalBytes: Bytes;
  /** What one process may use, after others' use and the reserve. */
  usableBytes: Bytes;
  computeCapability: string | null;
  /** As in a profile; of this machine's CPU the cores that a process may use. */
  multiprocessors: number | null;
  /** Of this machine's CPU alone. */
  core?: CpuCore;
  /** PyTorch's allocator there maps pages as it needs them (PYTORCH_ALLOC_CONF=expandable_segments:True). Default: false. */
  expandableSegments?: boolean;
  profile: DeviceProfile | null;
  source: Source;
  /** What a process was seen to take here beside its allocator. */
  contextBytes?: Bytes;
}
