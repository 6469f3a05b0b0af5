/** The document of `batchfit diagnose`. */
import { z } from 'zod';
import { KINDS } from '../../plan/diagnose/finding.js';
import { LOG_FORMATS } from '../../plan/diagnose/log.js';
import { count } from '../fields.js';

const confidence = z.enum(['high', 'medium', 'low']);

const step = z.object({
  text: z.string(),
  lever: z.enum(['learning-rate', 'batch', 'regularization', 'steps', 'data', 'precision', 'model', 'none']),
  factor: z.number().positive().nullable().describe("what the lever's present value is multiplied by"),
  confidence,
  source: z.string(),
});

export const document = z.object({
  verdict: z.enum(KINDS).describe("the first finding's kind"),
  findings: z.array(
    z.object({
      kind: z.enum(KINDS),
      confidence,
      evidence: z.array(z.string()),
      causes: z.array(z.string()).describe('most likely first'),
      advice: z.array(step).describe('best first'),
    }),
  ),
  log: z.object({
    format: z.enum(LOG_FORMATS),
    unit: z.enum(['step', 'epoch']),
    trainPoints: count,
    validationPoints: count,
    stepsPerEpoch: count.nullable(),
    names: z.object({ train: z.string().nullable(), validation: z.string().nullable() }),
  }),
});
