/** Finding and installing: who comes first, what is missing, and what a broken-off installation leaves. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTfjsEngine } from '../../../src/probe/engines/tfjs/engine.js';
import { engineFolder } from '../../../src/probe/engines/tfjs/folder.js';
import { installTfjs } from '../../../src/probe/engines/tfjs/install.js';
import { type Flavor, locateTfjs } from '../../../src/probe/engines/tfjs/locate.js';
import { lockFolder } from '../../../src/probe/engines/tfjs/lock.js';
import { readRecord } from '../../../src/probe/engines/tfjs/record.js';
import { compileAddon } from '../../../src/probe/engines/tfjs/wheel.js';

let folder: string;
const saved = { ...process.env };
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'batchfit-tfjs-'));
  process.env.XDG_DATA_HOME = join(folder, 'data');
});
afterEach(() => {
  process.env = { ...saved };
  rmSync(folder, { recursive: true, force: true });
});

/** A package whose main file fails to load, which finding it must not notice. */
function putPackage(root: string, flavor: Flavor, version = '4.22.0'): void {
  const target = join(root, 'node_modules', '@tensorflow', flavor, 'dist');
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, '..', 'package.json'), JSON.stringify({ name: `@tensorflow/${flavor}`, version, main: 'dist/index.js' }));
  writeFileSync(join(target, 'index.js'), 'throw new Error("libtensorflow.so.2: cannot open shared object file");\n');
}

/** A program of that name on a PATH that has nothing else. */
function putProgram(name: string, script: string): void {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
  process.env.PATH = bin;
}

const found = (from: string) => locateTfjs(from).map(({ flavor, origin, version }) => `${flavor} ${version} ${origin}`);

describe('finding', () => {
  it('takes the project before the installation, native before pure JavaScript, the GPU package before the CPU one', () => {
    const project = join(folder, 'project');
    putPackage(project, 'tfjs', '4.1.0');
    putPackage(project, 'tfjs-node', '4.1.0');
    putPackage(project, 'tfjs-node-gpu', '4.1.0');
    putPackage(engineFolder('tfjs'), 'tfjs-node');
    putPackage(engineFolder('tfjs'), 'tfjs');
    expect(found(project)).toEqual([
      'tfjs-node-gpu 4.1.0 project',
      'tfjs-node 4.1.0 project',
      'tfjs-node 4.22.0 installed',
      'tfjs 4.1.0 project',
      'tfjs 4.22.0 installed',
    ]);
  });

  it('looks in the folders above, as Node does', () => {
    putPackage(folder, 'tfjs-node');
    mkdirSync(join(folder, 'deep', 'down'), { recursive: true });
    expect(found(join(folder, 'deep', 'down'))).toEqual(['tfjs-node 4.22.0 project']);
  });

  it('finds nothing in an empty place', async () => {
    expect(found(folder)).toEqual([]);
    const status = await createTfjsEngine(folder).status();
    expect(status).toMatchObject({ name: 'tfjs', status: 'missing', version: null, device: null });
    expect(status.reason).toContain('batchfit engines install tfjs');
  });
});

describe('installing', () => {
  it('says that npm is missing', async () => {
    process.env.PATH = join(folder, 'bin');
    await expect(installTfjs()).rejects.toMatchObject({ code: 'PROGRAM_MISSING', exitCode: 3, message: expect.stringContaining('"npm"') });
    expect(existsSync(`${engineFolder('tfjs')}.lock`)).toBe(false);
    expect(existsSync(engineFolder('tfjs'))).toBe(false);
  });

  it('says what npm said when it fails', async () => {
    putProgram('npm', 'echo "npm error code ENOTFOUND" >&2; echo "npm error request to the registry failed" >&2; exit 1');
    await expect(installTfjs()).rejects.toMatchObject({
      code: 'ENGINE_INSTALL_FAILED',
      exitCode: 3,
      message: expect.stringContaining('npm error request to the registry failed'),
    });
  });

  const shop = () => {
    mkdirSync(join(folder, 'shop'), { recursive: true });
    return { folder: join(folder, 'shop'), say: () => {}, signal: new AbortController().signal };
  };

  it.each([
    ['the C++ compiler', () => putProgram('nothing', 'exit 1'), '"g++"'],
    ['Python', () => putProgram('g++', 'exit 1'), '"python3"'],
    [
      'pip',
      () => {
        putProgram('g++', 'exit 1');
        putProgram('python3', 'exit 1');
      },
      'neither pip nor a working venv',
    ],
  ])('says that %s is missing', async (_, prepare, named) => {
    prepare();
    delete process.env.CXX;
    const compiling = compileAddon(shop(), 'tfjs-node');
    await expect(compiling).rejects.toMatchObject({ code: 'PROGRAM_MISSING', exitCode: 3, message: expect.stringContaining(named) });
  });

  it('lets one installation work at a time, and takes over from a dead one', async () => {
    const file = join(folder, 'tfjs.lock');
    const unlock = await lockFolder(file);
    await expect(lockFolder(file)).rejects.toMatchObject({ code: 'ENGINE_BUSY', message: expect.stringContaining(String(process.pid)) });
    await unlock();
    writeFileSync(file, '2147483646');
    await (await lockFolder(file))();
    expect(existsSync(file)).toBe(false);
  });

  it('ignores a record that it does not understand', async () => {
    const write = (text: string) => writeFileSync(join(folder, 'engine.json'), text);
    expect(await readRecord(folder)).toBeNull();
    write('{"schema":"batchfit/engine@9"}');
    expect(await readRecord(folder)).toBeNull();
    write('{');
    expect(await readRecord(folder)).toBeNull();
    const record = { schema: 'batchfit/engine@1', name: 'tfjs', flavor: 'tfjs-node', way: 'wheel', versions: { tfjs: '4.22.0' } };
    write(JSON.stringify(record));
    expect(await readRecord(folder)).toEqual(record);
  });
});
