/** Finds the TensorFlow.js packages that could run a trial, best first. Finding loads nothing. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { engineFolder } from './folder.js';

export const FLAVORS = ['tfjs-node-gpu', 'tfjs-node', 'tfjs'] as const;
export type Flavor = (typeof FLAVORS)[number];

export interface Candidate {
  flavor: Flavor;
  /** The package's main file. */
  entry: string;
  version: string;
  /** The folder whose node_modules it was found from. */
  folder: string;
  origin: 'project' | 'installed';
}

/** A project's own native packages, then the installed ones, then pure JavaScript from either. */
export function locateTfjs(workingDirectory: string = process.cwd()): Candidate[] {
  const places = [
    { folder: workingDirectory, origin: 'project' },
    { folder: engineFolder('tfjs'), origin: 'installed' },
  ] as const;
  const found = places.flatMap(({ folder, origin }) => FLAVORS.flatMap((flavor) => resolveFlavor(flavor, folder, origin) ?? []));
  const distinct = found.filter((candidate, at) => found.findIndex((other) => other.entry === candidate.entry) === at);
  return [...distinct.filter(({ flavor }) => flavor !== 'tfjs'), ...distinct.filter(({ flavor }) => flavor === 'tfjs')];
}

/** The package as the folder's own code would find it; null when it would not. */
export function resolveFlavor(flavor: Flavor, folder: string, origin: Candidate['origin']): Candidate | null {
  try {
    const require = createRequire(join(folder, 'package.json'));
    const entry = require.resolve(`@tensorflow/${flavor}`);
    return { flavor, entry, version: versionOf(entry, flavor), folder, origin };
  } catch {
    return null;
  }
}

/** The version in the package.json above the main file. */
function versionOf(entry: string, flavor: Flavor): string {
  for (let folder = dirname(entry); folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const description = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: string; version?: string };
      if (description.name === `@tensorflow/${flavor}` && description.version) return description.version;
    } catch {
      // No package.json here: further up.
    }
  }
  return 'unknown';
}
