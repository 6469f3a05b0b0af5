/**
 * Builds dist/: the TypeScript, the programs that children run as they are, the profiles as JSON, the commands with all
 * that they load packed into few files, and oclif's manifest; the last three spare every start its searches.
 * Type errors make it exit 1, yet what compiles can be run.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Plugin } from '@oclif/core';
import { packCommands } from './pack-commands.mjs';

const NEW = `dist.${process.pid}`;
const PROGRAMS = ['.py', '.cjs', '.json', '.c'];

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
process.on('exit', () => rmSync(NEW, { recursive: true, force: true }));

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
try {
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', NEW], { stdio: 'inherit' });
} catch {
  process.exitCode = 1;
}
const isFolder = (path) => extname(path) === '' && basename(path) !== '__pycache__';
cpSync('src', NEW, { recursive: true, filter: (path) => isFolder(path) || PROGRAMS.includes(extname(path)) });

const { parseSources } = await import(pathToFileURL(join(root, NEW, 'profiles.js')).href);
mkdirSync(join(NEW, 'profiles'));
for (const kind of ['devices', 'models', 'recipes']) {
  writeFileSync(join(NEW, 'profiles', `${kind}.json`), JSON.stringify(Object.fromEntries(await parseSources(kind))));
}
await packCommands(join(root, NEW));
rmSync('dist', { recursive: true, force: true });
renameSync(NEW, 'dist');

const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true, respectNoCacheDefault: true });
await plugin.load();
writeFileSync('oclif.manifest.json', `${JSON.stringify(plugin.manifest, null, 2)}\n`);
