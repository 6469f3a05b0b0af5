/** `batchfit engines install tfjs`: TensorFlow.js into the user's data folder, native where it can be had. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MissingError, type Warning } from '../../../errors.js';
import { checkCandidate, type LoadCheck } from './check.js';
import { engineFolder } from './folder.js';
import { type Candidate, type Flavor, resolveFlavor } from './locate.js';
import { lockFolder } from './lock.js';
import { downloadAddon, installPackages, keepJavaScriptAlone, TFJS_VERSION } from './packages.js';
import { type InstallationRecord, RECORD_FILE, readRecord } from './record.js';
import { compileAddon, whyNoWheel } from './wheel.js';
import type { Workshop } from './workshop.js';

export interface InstallOptions {
  onProgress?: (text: string) => void;
  signal?: AbortSignal;
  /** Prefer the GPU package; where it is not said, when this machine has an NVIDIA GPU. */
  gpu?: boolean;
}

export interface Installation {
  folder: string;
  record: InstallationRecord;
  /** "cuda" or "cpu". */
  device: string;
  /** "tfjs-node 4.22.0 (TensorFlow 2.21.0)". */
  backend: string;
  /** Nothing had to be done. */
  alreadyThere: boolean;
  warnings: Warning[];
}

/**
 * Installs into a folder beside the final one and moves it there when it works, so that a broken-off installation leaves
 * nothing half-made behind and goes on where it stopped. Throws MissingError naming a program that is needed.
 */
export async function installTfjs(options: InstallOptions = {}): Promise<Installation> {
  const folder = engineFolder('tfjs');
  const shop: Workshop = {
    folder: `${folder}.partial`,
    say: options.onProgress ?? (() => {}),
    signal: options.signal ?? new AbortController().signal,
  };
  await mkdir(dirname(folder), { recursive: true });
  const unlock = await lockFolder(`${folder}.lock`);
  try {
    return (await existing(folder, shop.signal)) ?? (await install(folder, shop, options.gpu ?? (await hasNvidiaGpu())));
  } finally {
    await unlock();
  }
}

async function existing(folder: string, signal: AbortSignal): Promise<Installation | null> {
  const record = await readRecord(folder);
  if (!record) return null;
  const check = await tryLoading(folder, record.flavor, signal);
  return check.works ? { folder, record, device: check.device, backend: check.backend, alreadyThere: true, warnings: [] } : null;
}

async function install(folder: string, shop: Workshop, gpu: boolean): Promise<Installation> {
  await mkdir(shop.folder, { recursive: true });
  const { record, check, warnings } = await build(shop, gpu);
  await writeFile(join(shop.folder, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
  const old = `${folder}.old`;
  await rm(old, { recursive: true, force: true });
  await rename(folder, old).catch(() => {}); // There is none on a first installation.
  await rename(shop.folder, folder);
  await rm(old, { recursive: true, force: true });
  return { folder, record, device: check.device, backend: check.backend, alreadyThere: false, warnings };
}

async function hasNvidiaGpu(): Promise<boolean> {
  const { detectMachine } = await import('../../../machine/detect.js');
  return (await detectMachine()).devices.some((device) => device.kind === 'cuda' && device.visible);
}

interface Built {
  record: InstallationRecord;
  check: Extract<LoadCheck, { works: true }>;
  warnings: Warning[];
}

/** The package's own download, then the wheel, for the GPU first where there is one; pure JavaScript when all else fails. */
async function build(shop: Workshop, gpu: boolean): Promise<Built> {
  const failures: string[] = [];
  for (const flavor of gpu ? (['tfjs-node-gpu', 'tfjs-node'] as const) : (['tfjs-node'] as const)) {
    shop.say(`Installing @tensorflow/${flavor} ${TFJS_VERSION}`);
    await installPackages(shop, flavor);
    for (const { way, make } of nativeWays(shop, flavor)) {
      const made = await make().catch((error: Error) => {
        if (error instanceof MissingError) throw error;
        shop.signal.throwIfAborted();
        return { failure: error.message };
      });
      if ('failure' in made) {
        failures.push(`${flavor}, ${way}: ${made.failure}`);
        continue;
      }
      const check = await tryLoading(shop.folder, flavor, shop.signal);
      const useless = check.works && flavor === 'tfjs-node-gpu' && check.device !== 'cuda';
      if (check.works && !useless) {
        return { record: recordOf(flavor, way, { ...made, backend: check.backend }), check, warnings: [] };
      }
      failures.push(`${flavor}, ${way}: ${check.works ? 'it loads, but finds no usable GPU libraries' : check.reason}`);
    }
  }
  shop.say('No native TensorFlow could be had; keeping the pure JavaScript backend');
  await keepJavaScriptAlone(shop);
  const check = await tryLoading(shop.folder, 'tfjs', shop.signal);
  if (!check.works) {
    throw new MissingError('ENGINE_INSTALL_FAILED', `TensorFlow.js could not be installed: ${[...failures, check.reason].join('; ')}`);
  }
  const warning: Warning = {
    code: 'TFJS_PURE_JS',
    message: `no native TensorFlow could be had (${failures.join('; ')}); the pure JavaScript backend is about a hundred times slower`,
    hint: 'once the cause is cured, run: batchfit engines install tfjs',
  };
  return { record: recordOf('tfjs', 'javascript', { backend: check.backend }), check, warnings: [warning] };
}

function nativeWays(shop: Workshop, flavor: Exclude<Flavor, 'tfjs'>) {
  return [
    { way: 'package' as const, make: () => downloadAddon(shop, flavor) },
    {
      way: 'wheel' as const,
      make: async () => {
        const reason = whyNoWheel();
        if (reason) throw new Error(reason);
        return compileAddon(shop, flavor);
      },
    },
  ];
}

function recordOf(flavor: Flavor, way: InstallationRecord['way'], versions: Record<string, string>): InstallationRecord {
  return { schema: 'batchfit/engine@1', name: 'tfjs', flavor, way, versions: { tfjs: TFJS_VERSION, ...versions } };
}

async function tryLoading(folder: string, flavor: Flavor, signal: AbortSignal): Promise<LoadCheck> {
  const candidate: Candidate | null = resolveFlavor(flavor, folder, 'installed');
  if (!candidate) return { works: false, reason: `@tensorflow/${flavor} is not in ${folder}` };
  return checkCandidate(candidate, signal);
}
