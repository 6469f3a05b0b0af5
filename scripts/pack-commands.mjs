/** Packs the compiled commands and the packages that they load at every start: opening hundreds of files is what a start spends its time on. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, sep } from 'node:path';
import { rolldown } from 'rolldown';

const NOT_COMMANDS = ['base.js', 'flags.js'];
/** Entries that oclif and bin/run.js load by their path. */
const DOORS = { start: 'output/start.js', help: 'output/help.js', 'unknown-command': 'commands/input/unknown-command.js' };
/** Loaded only where they are needed, or not meant to be packed. */
const APART = [/^node:/, /^systeminformation/, /^cli-table3/, /^typescript/];

/**
 * Writes `run/` into a folder of compiled files: `run/commands/*.js`, `run/doors/*.js` and what they share. All lie two
 * folders below, so that a path beside a source file can be told in each.
 */
export async function packCommands(folder) {
  const commands = readdirSync(join(folder, 'commands')).filter((file) => file.endsWith('.js') && !NOT_COMMANDS.includes(file));
  const input = Object.fromEntries([
    ...commands.map((file) => [`commands/${file.slice(0, -3)}`, join(folder, 'commands', file)]),
    ...Object.entries(DOORS).map(([name, file]) => [`doors/${name}`, join(folder, file)]),
  ]);
  const bundle = await rolldown({
    input,
    platform: 'node',
    external: APART,
    checks: { ineffectiveDynamicImport: false },
    // oclif reads its version from the package.json one folder up
    transform: { define: { __dirname: 'import.meta.dirname' } },
    plugins: [{ name: 'places', transform: (code, id) => keepPlaces(code, id, folder) }],
  });
  const { output } = await bundle.write({
    dir: join(folder, 'run'),
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'shared/[name]-[hash].js',
  });
  const { version } = createRequire(import.meta.url)('@oclif/core/package.json');
  writeFileSync(join(folder, 'run', 'package.json'), `${JSON.stringify({ type: 'module', version })}\n`);
  writeFileSync(join(folder, 'run', 'LICENSES.txt'), licences(output.flatMap((chunk) => chunk.moduleIds ?? [])));
}

/** `import.meta.url` goes on meaning the file that it was written in. */
function keepPlaces(code, id, folder) {
  if (!id.startsWith(folder) || !code.includes('import.meta.url')) return null;
  const place = relative(join(folder, 'run', 'shared'), id)
    .split(sep)
    .join('/');
  return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(place)}, import.meta.url).href`);
}

/** The licences of the packages whose modules were packed. */
function licences(modules) {
  const packages = new Set(modules.map((id) => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0]).filter(Boolean));
  const texts = [...packages].sort().map((path) => {
    const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
    const file = readdirSync(path).find((each) => /^licen[cs]e/i.test(each));
    return `${name} ${version} (${license})\n\n${file ? readFileSync(join(path, file), 'utf8').trim() : ''}\n`;
  });
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}
