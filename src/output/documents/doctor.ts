/** The document of `batchfit doctor`. */
import { z } from 'zod';
import { document as detected } from './detect.js';

const problem = z.object({
  subject: z.string().describe('what it is about: "node", "nvidia-smi", "torch", "cuda:0" ...'),
  message: z.string(),
  fix: z.string().describe('the step that cures it'),
});

export const document = z.object({
  node: z.object({ version: z.string(), required: z.string().describe('range of versions'), supported: z.boolean() }),
  programs: z
    .array(z.object({ name: z.string(), path: z.string().nullable().describe('null when it is not there') }))
    .describe('what installing engines needs'),
  dataFolder: z.object({ path: z.string(), writable: z.boolean() }).describe('where engines are installed'),
  memoryCap: z.object({ cgroup: z.boolean(), reason: z.string().nullable() }).describe('whether a probe can cap memory by a cgroup'),
  ...detected.shape,
  problems: z.array(problem),
});
