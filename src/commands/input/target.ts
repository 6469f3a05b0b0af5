/** The device that a command is about, with what probes learned of it where it is this machine's. */
import type { TargetDevice } from '../../machine/machine.js';
import { resolveTarget, type WhereOptions } from '../../machine/target.js';
import { recallContext } from '../../probe/learned.js';

/** Whether the variable that PyTorch's allocator reads, by its name of today or the older one, asks for pages that are mapped as needed. */
export function hasExpandableSegments({ PYTORCH_ALLOC_CONF, PYTORCH_CUDA_ALLOC_CONF }: NodeJS.ProcessEnv): boolean {
  return /(^|,)\s*expandable_segments\s*:\s*True\s*(,|$)/.test(PYTORCH_ALLOC_CONF ?? PYTORCH_CUDA_ALLOC_CONF ?? '');
}

/** `resolveTarget`, with the allocator that the environment asks for. */
export async function openUncalibrated(where: WhereOptions): Promise<TargetDevice> {
  const target = await resolveTarget(where);
  return target.kind === 'cuda' && hasExpandableSegments(process.env) ? { ...target, expandableSegments: true } : target;
}

/** The same, calibrated. */
export async function openTarget(where: WhereOptions): Promise<TargetDevice> {
  const target = await openUncalibrated(where);
  if (target.kind !== 'cuda' || target.source === 'assumed') return target;
  const contextBytes = await recallContext(target.name);
  return contextBytes === null ? target : { ...target, contextBytes };
}
