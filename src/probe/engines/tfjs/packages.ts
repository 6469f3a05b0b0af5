/** The npm packages of the engine, and the native parts that they download for themselves. */
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { MissingError } from '../../../errors.js';
import { searchProgram } from '../../program.js';
import type { Flavor } from './locate.js';
import { errorLine, runTool, type Workshop } from './workshop.js';

export const TFJS_VERSION = '4.22.0';
/** Node's C interface to addons, stable across its releases. */
const NODE_API_HEADERS = 'node-api-headers@1';
const NPM_SECONDS = 900;
/** For 200 to 700 MB on a slow line. */
const DOWNLOAD_SECONDS = 1800;

export function packageFolder(shop: Workshop, flavor: Flavor): string {
  return join(shop.folder, 'node_modules', '@tensorflow', flavor);
}

/** Installs the packages without running their scripts: npm may block those, and a failing one would undo it all. */
export async function installPackages(shop: Workshop, flavor: Exclude<Flavor, 'tfjs'>): Promise<void> {
  const wanted = [`@tensorflow/tfjs@${TFJS_VERSION}`, `@tensorflow/${flavor}@${TFJS_VERSION}`, NODE_API_HEADERS];
  await npm(shop, ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--omit=dev', ...wanted]);
}

/** Takes the native package away when it could not be made to work. */
export async function keepJavaScriptAlone(shop: Workshop): Promise<void> {
  for (const flavor of ['tfjs-node-gpu', 'tfjs-node'] as const) await rm(packageFolder(shop, flavor), { recursive: true, force: true });
}

async function npm(shop: Workshop, args: string[]): Promise<void> {
  const program = searchProgram('npm');
  if (!program)
    throw new MissingError('PROGRAM_MISSING', 'the program "npm" was not found', 'it comes with Node.js: install it, then try again');
  const file = join(shop.folder, 'package.json');
  // Without a package.json of its own npm would install into a project further up.
  if (!existsSync(file)) await writeFile(file, '{ "name": "batchfit-engine-tfjs", "private": true }\n');
  const result = await runTool(shop, [program, ...args], NPM_SECONDS, shop.folder);
  if (result.exitCode !== 0) {
    throw new MissingError(
      'ENGINE_INSTALL_FAILED',
      `npm could not install TensorFlow.js: ${errorLine(result)}`,
      'check the network and the disk, then try again',
    );
  }
}

/** The package's own install script: fetches libtensorflow and an addon that fits. */
export async function downloadAddon(shop: Workshop, flavor: Exclude<Flavor, 'tfjs'>): Promise<Record<string, string>> {
  shop.say("Fetching libtensorflow by the package's own way");
  const folder = packageFolder(shop, flavor);
  const command: [string, ...string[]] = [process.execPath, join('scripts', 'install.js')];
  if (flavor === 'tfjs-node-gpu') command.push('gpu');
  const path = [join(shop.folder, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  const result = await runTool(shop, command, DOWNLOAD_SECONDS, folder, { PATH: path });
  if (result.exitCode !== 0) throw new Error(result.timedOut ? 'the download took too long' : errorLine(result));
  return {};
}
