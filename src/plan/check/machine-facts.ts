/** Facts of a machine, or of the device that stands in for one. */
import type { Machine, TargetDevice } from '../../machine/machine.js';
import type { Fact, Facts } from './fact.js';

const GPU_FACTS = ['gpu.memory', 'gpu.free', 'gpu.name', 'gpu.kind', 'gpu.computeCapability', 'gpu.driver'] as const;

/** Facts of this machine as it was read. A tool that failed makes every GPU fact unknown, never zero. */
export function machineFacts(machine: Machine): Facts {
  return { ...hostFacts(machine), ...gpuFacts(machine) };
}

export function hostFacts({ host }: Pick<Machine, 'host'>): Facts {
  return {
    'cpu.cores': { kind: 'count', value: host.cpu.usableCores },
    'host.memory': { kind: 'bytes', value: host.memory.limitBytes },
    'host.available': { kind: 'bytes', value: host.memory.availableBytes },
  };
}

function gpuFacts({ devices, tools }: Machine): Facts {
  const gpus = devices.filter(({ kind, visible }) => kind !== 'cpu' && visible);
  const broken = tools.find(({ status }) => status === 'failed' || status === 'timeout');
  if (gpus.length === 0) {
    const absent: Fact = broken
      ? { kind: 'unknown', reason: `${broken.name} ${broken.status === 'timeout' ? 'does not answer' : 'fails'}: ${broken.reason}` }
      : { kind: 'missing', reason: hiddenReason(devices) ?? 'this machine has no GPU that a program would see' };
    return {
      'gpu.count': broken ? absent : { kind: 'count', value: 0 },
      ...Object.fromEntries(GPU_FACTS.map((name) => [name, absent])),
    };
  }
  const best = gpus.reduce((a, b) => ((b.memory.totalBytes ?? 0) > (a.memory.totalBytes ?? 0) ? b : a));
  const known = (kind: 'bytes' | 'text' | 'version' | 'number', value: number | string | null): Fact =>
    value === null
      ? { kind: 'unknown', reason: `${best.id} does not say${best.note === null ? '' : `: ${best.note}`}` }
      : ({ kind, value } as Fact);
  return {
    'gpu.count': { kind: 'count', value: gpus.length },
    'gpu.memory': known('bytes', best.memory.totalBytes),
    'gpu.free': known('bytes', best.memory.freeBytes),
    'gpu.name': known('text', best.name),
    'gpu.kind': known('text', best.kind),
    'gpu.computeCapability': known('version', best.computeCapability),
    'gpu.driver': known('version', best.driver),
  };
}

function hiddenReason(devices: Machine['devices']): string | null {
  const hidden = devices.find(({ kind, visible }) => kind !== 'cpu' && !visible);
  return hidden === undefined ? null : `${hidden.id} is there and ${hidden.note ?? 'not visible to programs'}`;
}

/** Facts of a device profile, or of one device that was named: of that machine's host nothing is known. */
export function targetFacts(target: TargetDevice): Facts {
  const accelerated = target.kind !== 'cpu';
  const absent: Fact = { kind: 'missing', reason: `${target.name} is no GPU` };
  const unknown = (what: string): Fact => ({ kind: 'unknown', reason: `--device ${target.name} says nothing of ${what}` });
  const gpu = (fact: Fact): Fact => (accelerated ? fact : absent);
  return {
    'gpu.count': { kind: 'count', value: accelerated ? target.count : 0 },
    'gpu.memory': gpu({ kind: 'bytes', value: target.totalBytes }),
    'gpu.free': gpu({ kind: 'bytes', value: target.usableBytes }),
    'gpu.name': gpu({ kind: 'text', value: target.name }),
    'gpu.kind': gpu({ kind: 'text', value: target.kind }),
    'gpu.computeCapability': gpu(
      target.computeCapability === null ? unknown('its compute capability') : { kind: 'version', value: target.computeCapability },
    ),
    'gpu.driver': gpu(unknown('a driver')),
    'cpu.cores': unknown('cores'),
    'host.memory': unknown("the host's memory"),
    'host.available': unknown("the host's memory"),
  };
}

/** Every GPU and host fact as one thing that went wrong. */
export function unreadableFacts(kind: 'missing' | 'unknown', reason: string): Facts {
  return Object.fromEntries(['gpu.count', ...GPU_FACTS].map((name) => [name, { kind, reason }]));
}
