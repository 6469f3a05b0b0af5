/** Writes schemas/*.json from the built src/output/documents/*.ts. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { renderSchemas } from '../dist/output/schemas.js';

const DOCUMENTS = new URL('../dist/output/documents/', import.meta.url);
const SCHEMAS = new URL('../schemas/', import.meta.url);

const documents = {};
for (const file of readdirSync(DOCUMENTS)
  .filter((name) => name.endsWith('.js'))
  .sort()) {
  documents[basename(file, '.js')] = (await import(new URL(file, DOCUMENTS))).document;
}
rmSync(SCHEMAS, { recursive: true, force: true });
mkdirSync(SCHEMAS);
for (const [name, content] of Object.entries(renderSchemas(documents))) writeFileSync(new URL(name, SCHEMAS), content);
