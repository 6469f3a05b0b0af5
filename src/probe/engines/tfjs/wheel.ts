/**
 * The addon compiled here against TensorFlow's own C libraries, as the wheel of its Python package carries them. Of the
 * wheel only the libraries stay; Python is needed to fetch and unpack it, not to run.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MissingError } from '../../../errors.js';
import { searchProgram } from '../../program.js';
import type { Flavor } from './locate.js';
import { packageFolder } from './packages.js';
import { errorLine, runTool, type Workshop } from './workshop.js';

export const TENSORFLOW_VERSION = '2.21.0';
/** What the addon's compiled name must be: it is looked up by the version of Node's C interface. */
const NODE_API_VERSION = 8;
const FETCH_SECONDS = 1800;
const COMPILE_SECONDS = 900;

type Command = [string, ...string[]];

/** Unpacks of each wheel in a folder the members that match, and prints what the first one needs for CUDA. */
const UNPACK = `
import pathlib, re, sys, zipfile
source, target, pattern = sys.argv[1:]
for wheel in sorted(pathlib.Path(source).glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(target, [name for name in names if re.match(pattern, name)])
        for name in names:
            if name.endswith(".dist-info/METADATA"):
                for line in archive.read(name).decode().splitlines():
                    need = re.match(r"Requires-Dist: ([^;]+); extra == .and-cuda.", line)
                    if need:
                        print(need[1].replace(" ", ""))
`;
const OF_TENSORFLOW = 'tensorflow/(libtensorflow_(cc|framework)\\.so\\.2$|include/(tensorflow|tsl|xla/tsl)/)';
const OF_CUDA = 'nvidia/.*/lib/';

/** Why the wheel is no way on this machine, or null. */
export function whyNoWheel(): string | null {
  if (process.platform !== 'linux') return `TensorFlow's wheels for ${process.platform} carry no library to link with`;
  if (process.arch !== 'x64' && process.arch !== 'arm64') return `TensorFlow has no wheel for ${process.arch}`;
  return null;
}

/** Throws MissingError naming python3, pip or the C++ compiler when one is not here. */
export async function compileAddon(shop: Workshop, flavor: Exclude<Flavor, 'tfjs'>): Promise<Record<string, string>> {
  const compiler = findCompiler();
  const pip = await findPip(shop);
  const target = packageFolder(shop, flavor);
  const site = join(target, 'deps', 'site');
  await rm(join(target, 'deps'), { recursive: true, force: true });
  await mkdir(site, { recursive: true });
  const gpu = flavor === 'tfjs-node-gpu';
  shop.say('Fetching the libraries of TensorFlow from its Python package');
  const needs = await fetchWheels(shop, pip, [`tensorflow${gpu ? '' : '-cpu'}==${TENSORFLOW_VERSION}`], site, OF_TENSORFLOW);
  if (gpu) {
    shop.say('Fetching the CUDA libraries that it needs');
    await fetchWheels(shop, pip, needs, site, OF_CUDA);
  }
  shop.say('Compiling the addon');
  await compile(shop, compiler, target, join(site, 'tensorflow'));
  await rm(join(site, 'tensorflow', 'include'), { recursive: true, force: true });
  await rm(join(shop.folder, 'venv'), { recursive: true, force: true });
  return { tensorflow: TENSORFLOW_VERSION };
}

function findCompiler(): string {
  const wanted = process.env.CXX;
  const names = wanted ? [wanted] : ['g++', 'c++', 'clang++'];
  const found = names.map(searchProgram).find((path) => path !== null);
  if (found) return found;
  throw new MissingError(
    'PROGRAM_MISSING',
    `the C++ compiler "${names[0]}" was not found; it is needed to build TensorFlow's addon for Node`,
    'install g++ (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), then try again',
  );
}

/** pip of the system's Python, or of a virtual environment where the system has none. */
async function findPip(shop: Workshop): Promise<Command> {
  const python = searchProgram('python3') ?? searchProgram('python');
  if (!python) {
    throw new MissingError(
      'PROGRAM_MISSING',
      'the program "python3" was not found; it fetches TensorFlow',
      'install Python 3.9 or newer, then try again',
    );
  }
  const works = async (command: Command) => (await runTool(shop, [...command, '--version'], 60)).exitCode === 0;
  const own: Command = [python, '-m', 'pip'];
  if (await works(own)) return own;
  const environment = join(shop.folder, 'venv');
  await runTool(shop, [python, '-m', 'venv', environment], 300);
  const inside: Command = [join(environment, 'bin', 'python'), '-m', 'pip'];
  if (existsSync(inside[0]) && (await works(inside))) return inside;
  throw new MissingError(
    'PROGRAM_MISSING',
    `"${python}" has neither pip nor a working venv; one of them fetches TensorFlow`,
    'install python3-pip or python3-venv, then try again',
  );
}

/** Fetches wheels without what they depend on, unpacks what is wanted, returns what the first one needs for CUDA. */
async function fetchWheels(shop: Workshop, pip: Command, requirements: string[], target: string, pattern: string): Promise<string[]> {
  const wheels = join(shop.folder, 'wheels');
  await mkdir(wheels, { recursive: true });
  // The libraries do not depend on Python's version: one that surely has a wheel is named, whatever Python is here.
  const choice = [
    '--python-version',
    '3.12',
    '--implementation',
    'cp',
    '--abi',
    'cp312',
    ...platformTags().flatMap((tag) => ['--platform', tag]),
  ];
  const fetched = await runTool(
    shop,
    [...pip, 'download', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check', ...choice, '-d', wheels, ...requirements],
    FETCH_SECONDS,
  );
  if (fetched.exitCode !== 0) throw new Error(fetched.timedOut ? 'fetching TensorFlow took too long' : `pip: ${errorLine(fetched)}`);
  const unpacked = await runTool(shop, [pip[0], '-c', UNPACK, wheels, target, pattern], FETCH_SECONDS);
  if (unpacked.exitCode !== 0) throw new Error(`unpacking TensorFlow: ${errorLine(unpacked)}`);
  await rm(wheels, { recursive: true, force: true });
  return unpacked.stdout.split('\n').filter(Boolean);
}

/** pip takes a platform by its exact name: all from the oldest glibc in use to the newest that TensorFlow asks for. */
function platformTags(): string[] {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const tags = Array.from({ length: 28 - 5 + 1 }, (_, at) => `manylinux_2_${28 - at}_${machine}`);
  return [...tags, `manylinux2014_${machine}`];
}

async function compile(shop: Workshop, compiler: string, target: string, tensorflow: string): Promise<void> {
  const folder = join(target, 'lib', `napi-v${NODE_API_VERSION}`);
  await mkdir(folder, { recursive: true });
  const sources = (await readdir(join(target, 'binding')))
    .filter((name) => name.endsWith('.cc'))
    .map((name) => join(target, 'binding', name));
  const includes = [join(shop.folder, 'node_modules', 'node-api-headers', 'include'), join(tensorflow, 'include')];
  const unfinished = join(folder, 'unfinished.node');
  const built = await runTool(
    shop,
    [
      compiler,
      '-std=c++17',
      '-O2',
      '-fPIC',
      '-shared',
      '-pthread',
      `-DNAPI_VERSION=${NODE_API_VERSION}`,
      ...includes.flatMap((include) => ['-I', include]),
      '-o',
      unfinished,
      ...sources,
      '-L',
      tensorflow,
      '-l:libtensorflow_cc.so.2',
      '-l:libtensorflow_framework.so.2',
      // Found from where the addon lies, so that the folder can be moved.
      '-Wl,-rpath,$ORIGIN/../../deps/site/tensorflow',
    ],
    COMPILE_SECONDS,
  );
  if (built.exitCode !== 0) throw new Error(`${compiler}: ${errorLine(built)}`);
  await rename(unfinished, join(folder, 'tfjs_binding.node'));
}
