/** The document of `batchfit detect`. */
import { z } from 'zod';
import { CORE_LIMITERS, DEVICE_KINDS, MEMORY_LIMITERS, TOOL_STATUSES } from '../../machine/machine.js';
import { bytes, count, source } from '../fields.js';

const cpu = z.object({
  model: z.string(),
  physicalCores: count,
  logicalCores: count,
  usableCores: count.describe('under affinity and cgroup quota, at least 1'),
  coresLimitedBy: z.enum(CORE_LIMITERS),
  quotaCores: z.number().positive().nullable().describe('the CPU quota in cores, null without one'),
});

const hostMemory = z.object({
  totalBytes: bytes,
  limitBytes: bytes.describe('the most that all processes under the tightest limit may use; totalBytes without a limit'),
  availableBytes: bytes.describe('what a new process can get now'),
  limitedBy: z.enum(MEMORY_LIMITERS),
  limitPath: z.string().nullable().describe('the file that the limit was read from'),
});

const deviceMemory = z.object({
  totalBytes: bytes.nullable(),
  freeBytes: bytes.nullable(),
  usedByOthersBytes: bytes.nullable(),
  source,
  readFrom: z.string(),
});

const mig = z.object({
  enabled: z.boolean(),
  profile: z.string().nullable().describe('"1g.5gb" on an instance, null on a whole card'),
  parent: z.string().nullable(),
  gpuInstance: count.nullable(),
  computeInstance: count.nullable(),
  multiprocessors: count.nullable(),
});

const device = z.object({
  id: z.string().describe('"cuda:0" counts as nvidia-smi does, by PCI bus'),
  kind: z.enum(DEVICE_KINDS),
  name: z.string(),
  uuid: z.string().nullable(),
  memory: deviceMemory,
  computeCapability: z.string().nullable(),
  driver: z.string().nullable(),
  mig: mig.nullable(),
  unified: z.boolean().describe("the device shares the host's memory"),
  visible: z.boolean().describe('a program started now would see it'),
  note: z.string().nullable().describe('why it is not visible or not fully read'),
  processes: z.array(z.object({ pid: count, name: z.string(), usedBytes: bytes.nullable() })),
});

const tool = z.object({ name: z.string(), status: z.enum(TOOL_STATUSES), reason: z.string().nullable() });

const engine = z.object({
  name: z.string(),
  status: z.enum(['ready', 'missing', 'broken']),
  version: z.string().nullable(),
  device: z.string().nullable(),
  reason: z.string().nullable(),
});

export const document = z.object({
  host: z.object({ os: z.string(), cpu, memory: hostMemory }),
  devices: z.array(device),
  tools: z.array(tool),
  engines: z.array(engine),
});
