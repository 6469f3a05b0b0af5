/** JSON Schemas of everything that --json prints, from the zod schemas of src/output/documents/. */
import { z } from 'zod';

const warning = z.object({
  code: z.string().describe('stable, for scripts'),
  message: z.string(),
  hint: z.string().describe('the flag or step that cures it; empty where there is none'),
});

const envelope = (name: string) => ({
  schema: z.literal(`batchfit/${name}@1`),
  version: z.string().describe('version of the package that wrote the document'),
  warnings: z.array(warning),
});

const failure = z.object({ ...envelope('error'), error: warning.describe('why there is no answer') });

/** The schema files by name, given each command's `document` (its own fields; the envelope's are added here). */
export function renderSchemas(documents: Record<string, z.ZodObject>): Record<string, string> {
  const commands = Object.entries(documents).map(([command, document]) => [command, document.extend(envelope(command))] as const);
  return Object.fromEntries([...commands, ['error', failure] as const].map(([name, schema]) => [`${name}.json`, render(name, schema)]));
}

function render(name: string, schema: z.ZodType): string {
  return `${JSON.stringify({ title: `batchfit/${name}@1`, ...z.toJSONSchema(schema) }, null, 2)}\n`;
}
