/** A diagnosis for people: the verdict, the curves, then each finding with what to do. */
import type { z } from 'zod';
import type { TrainingLog } from '../plan/diagnose/log.js';
import { drawChart } from './chart.js';
import type { document } from './documents/diagnose.js';

export function renderDiagnosis(answer: unknown, log: TrainingLog): string {
  const { verdict, findings } = answer as z.infer<typeof document>;
  const series = (points: TrainingLog['train']) => points.map(({ step, value }) => ({ x: step, y: value }));
  const chart = drawChart([
    { mark: '.', points: series(log.train) },
    { mark: 'o', points: series(log.validation) },
  ]);
  const legend = [
    log.train.length > 0 ? `. ${log.names.train ?? 'training loss'}` : '',
    log.validation.length > 0 ? `o ${log.names.validation ?? 'validation loss'}` : '',
  ];
  return [
    `${verdict} (confidence ${findings[0]!.confidence}): ${findings[0]!.evidence.join('; ')}`,
    ...(chart === '' ? [] : ['', chart, `${legend.filter(Boolean).join('   ')}   by ${log.unit}`]),
    ...findings.flatMap(({ kind, confidence, evidence, causes, advice }, index) => [
      '',
      ...(index === 0 ? [] : [`also ${kind} (confidence ${confidence}): ${evidence.join('; ')}`]),
      ...(causes.length > 0 ? [`likely because: ${causes.join('; ')}`] : []),
      ...advice.map(({ text, confidence: weight, source }) => `  - ${text} (${weight}) [${source}]`),
    ]),
  ].join('\n');
}
