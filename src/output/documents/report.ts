/** The document of `batchfit report`. */
import { z } from 'zod';
import { bytes } from '../fields.js';

export const document = z.object({
  plan: z.string().describe('the plan that was read'),
  path: z.string().describe('the page that was written'),
  title: z.string(),
  bytes,
});
