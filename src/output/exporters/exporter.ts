/** What an exporter takes and gives: a settled plan in, one configuration of one training program out. */
import type { TrainingPlan } from '../../plan/training-plan.js';
import type { Setup } from '../../setup.js';

/** A plan that has a batch. */
export type SettledPlan = TrainingPlan & {
  batch: NonNullable<TrainingPlan['batch']>;
  learningRate: NonNullable<TrainingPlan['learningRate']>;
  warmup: NonNullable<TrainingPlan['warmup']>;
  schedule: NonNullable<TrainingPlan['schedule']>;
  loader: NonNullable<TrainingPlan['loader']>;
};

export interface ExportInput {
  plan: SettledPlan;
  setup: Setup;
  model: { name: string; sequence: number | null };
  device: { kind: string };
}

export interface Exported {
  filename: string;
  content: string;
  /** What this program cannot express, or names in another way: each to be done by hand. */
  notes: string[];
}

export type Exporter = (input: ExportInput) => Exported;

/** A number without the last digits of floating-point arithmetic. */
export const tidy = (value: number): number => Number(value.toPrecision(10));

/** An object without its null and undefined fields; numbers tidied. */
export function compact(fields: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(kept.map(([key, value]) => [key, typeof value === 'number' ? tidy(value) : value]));
}

export const json = (content: unknown): string => `${JSON.stringify(content, null, 2)}\n`;

/** Autocast, or weights, in bfloat16 and in float16. */
export const usesBf16 = (setup: Setup): boolean => setup.precision === 'amp-bf16' || setup.precision === 'bf16';
export const usesFp16 = (setup: Setup): boolean => setup.precision === 'amp-fp16' || setup.precision === 'fp16';

/** The note for an optimizer that a program does not have under any name. */
export const missingOptimizer = (program: string, optimizer: string): string => `${program} has no ${optimizer}: build it in your own code`;
