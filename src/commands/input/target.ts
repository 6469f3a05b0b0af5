/** The device that a command is about, with what probes learned of it where it is this machine's. */
import type { TargetDevice } from '../../machine/machine.js';
import { resolveTarget, type WhereOptions } from '../../machine/target.js';
import { recallContext } from '../../probe/learned.js';

/** `resolveTarget`, calibrated. */
export async function openTarget(where: WhereOptions): Promise<TargetDevice> {
  const target = await resolveTarget(where);
  if (target.kind !== 'cuda' || target.source === 'assumed') return target;
  const contextBytes = await recallContext(target.name);
  return contextBytes === null ? target : { ...target, contextBytes };
}
