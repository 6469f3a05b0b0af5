import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { renderSchemas } from '../../src/output/schemas.js';

const SCHEMAS = fileURLToPath(new URL('../../schemas', import.meta.url));
const DOCUMENTS = new URL('../../src/output/documents/', import.meta.url);
const documents: Record<string, z.ZodObject> = {};
for (const name of readdirSync(DOCUMENTS)) documents[basename(name, '.ts')] = (await import(new URL(name, DOCUMENTS).href)).document;

describe('schemas/', () => {
  it('is what the documents say: run "npm run schemas" after changing one', () => {
    const committed = Object.fromEntries(readdirSync(SCHEMAS).map((name) => [name, readFileSync(`${SCHEMAS}/${name}`, 'utf8')]));
    expect(committed).toEqual(renderSchemas(documents));
  });

  it.each(readdirSync(SCHEMAS))('%s compiles as JSON Schema 2020-12', (name) => {
    expect(() => new Ajv2020().compile(JSON.parse(readFileSync(`${SCHEMAS}/${name}`, 'utf8')))).not.toThrow();
  });
});

describe('renderSchemas', () => {
  const schema = JSON.parse(renderSchemas({ count: z.object({ samples: z.int() }) })['count.json']!);
  const accepts = new Ajv2020().compile(schema);
  const document = { schema: 'batchfit/count@1', version: '1.0.0', samples: 3, warnings: [] };

  it('adds what every document carries', () => {
    expect(accepts(document)).toBe(true);
    expect(accepts({ samples: 3 })).toBe(false);
  });

  it('refuses fields that the document does not name', () => {
    expect(accepts({ ...document, extra: 1 })).toBe(false);
  });
});
