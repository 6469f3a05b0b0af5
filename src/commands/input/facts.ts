/** Reads what `check` holds requirements against. What cannot be read becomes a fact that says so, never an exception. */
import { BatchfitError, MissingError, UndeterminedError } from '../../errors.js';
import { detectMachine } from '../../machine/detect.js';
import { resolveTarget, type WhereOptions } from '../../machine/target.js';
import type { PlanDocument } from '../../output/documents/plan.js';
import type { Facts } from '../../plan/check/fact.js';
import { hostFacts, machineFacts, targetFacts, unreadableFacts } from '../../plan/check/machine-facts.js';
import type { Fit } from '../../plan/check/plan-checks.js';
import { refit } from '../../plan/check/refit.js';
import { readModelFacts } from '../../plan/model-facts.js';
import { engineStatuses } from '../../probe/engines/status.js';
import { openModel } from './model.js';

type Unread = { kind: 'missing' | 'unknown'; reason: string };

/** The facts of this machine, or of the device that --device and --memory describe. */
export async function readFacts(where: WhereOptions): Promise<Facts> {
  const machine = await detectMachine();
  if (where.device === undefined && where.memory === undefined && where.reserve === undefined) return machineFacts(machine);
  const target = await orUnread(() => resolveTarget(where));
  return 'reason' in target
    ? { ...hostFacts(machine), ...unreadableFacts(target.kind, target.reason) }
    : { ...hostFacts(machine), ...targetFacts(target) };
}

export async function engineFacts(): Promise<Facts> {
  const statuses = await engineStatuses();
  return Object.fromEntries(statuses.map(({ name, status }) => [`engine.${name}`, { kind: 'text' as const, value: status }]));
}

/** Whether the plan fits here; on the kind of device that it was made for unless --device names one. */
export async function fitOfPlan(plan: PlanDocument, where: WhereOptions, interrupted: () => AbortSignal): Promise<Fit | Unread> {
  if (plan.batch === null) return { kind: 'unknown', reason: 'the plan has no batch, because nothing fitted when it was made' };
  const device = where.device ?? plan.device.kind;
  if (where.device === undefined && !['cuda', 'rocm', 'mps', 'cpu'].includes(device)) {
    return { kind: 'unknown', reason: `devices of the kind ${device} cannot be read on this machine: name one with --device` };
  }
  const target = await orUnread(() => resolveTarget({ ...where, device }));
  if ('reason' in target) return target;
  const graph = await readAgain(plan, interrupted);
  const { micro } = plan.batch;
  const saved = plan.memory.peak.deviceBytes;
  return refit({ micro, saved, measuredPeakBytes: plan.memory.measuredPeakBytes }, { ...plan.setup, batch: micro }, target, graph);
}

/** The plan's model at the plan's sizes, null where it is not here or not the same any more. */
async function readAgain({ model, setup }: PlanDocument, interrupted: () => AbortSignal) {
  const sizes = { ...(setup.image ? { image: setup.image } : {}), ...(setup.seq === null ? {} : { seq: setup.seq }) };
  try {
    const graph = await openModel(model.source.reference, { ...sizes, attention: setup.attention }, interrupted);
    // A model of another size (--classes, --head, a changed file) says nothing of the one that was planned.
    return readModelFacts(graph).parameters === model.parameters ? graph : null;
  } catch (error) {
    if (error instanceof BatchfitError) return null;
    throw error;
  }
}

async function orUnread<T>(read: () => Promise<T>): Promise<T | Unread> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof MissingError) return { kind: 'missing', reason: error.message };
    if (error instanceof UndeterminedError) return { kind: 'unknown', reason: error.message };
    throw error;
  }
}
