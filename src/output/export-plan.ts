/** A plan in another program's words. */
import { UsageError, type Warning } from '../errors.js';
import type { TrainingPlan } from '../plan/training-plan.js';
import type { ExportInput, SettledPlan } from './exporters/exporter.js';
import { EXPORTERS, type ExportName } from './exporters/index.js';

export interface ExportedPlan {
  name: ExportName;
  filename: string;
  content: string;
  notes: string[];
}

/** Throws UsageError when the plan has no batch to export. */
export function exportPlan(
  name: ExportName,
  plan: TrainingPlan,
  rest: Omit<ExportInput, 'plan'>,
): { exported: ExportedPlan; warnings: Warning[] } {
  if (plan.batch === null) throw new UsageError('NOTHING_TO_EXPORT', `--export ${name}: nothing fits, so there is nothing to export`);
  const exported = { name, ...EXPORTERS[name]({ ...rest, plan: plan as SettledPlan }) };
  const warnings = exported.notes.map((note) => ({ code: 'EXPORT_NOTE', message: `${name}: ${note}`, hint: 'to be done by hand' }));
  return { exported, warnings };
}
