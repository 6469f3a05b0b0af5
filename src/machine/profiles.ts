/** The device library: `profiles/devices/*.yaml`, one small file a device, found by name or alias. */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../errors.js';
import { nearestNames } from '../nearest.js';
import { readProfiles } from '../profiles.js';
import type { Bytes } from '../units.js';
import type { DeviceProfile } from './machine.js';

/**
 * The profile that `name` means: a file name, an alias in any case and punctuation ("NVIDIA GeForce RTX 3090",
 * "rtx3090"), or the path of a profile of the user's own. Throws UsageError with the nearest names.
 */
export async function loadDeviceProfile(name: string): Promise<DeviceProfile> {
  if (/\.ya?ml$/i.test(name)) return readOwnProfile(name);
  const slug = name
    .trim()
    .toLowerCase()
    .replace(/[\s_]+/g, '-');
  const profile = (await readProfiles('devices')).get(slug);
  if (profile !== undefined) return complete(profile);
  const [found] = await findByAlias(name);
  if (found) return found;
  const known = await deviceProfileNames();
  const near = nearestNames(slug, known);
  throw new UsageError(
    'UNKNOWN_DEVICE',
    `--device: expected a device profile, found "${name}"`,
    near.length > 0 ? `did you mean ${near.join(', ')}? "batchfit profiles devices" lists all` : '"batchfit profiles devices" lists all',
  );
}

/** The profile of a device that a driver names; among cards of one name the nearest in memory. Null when there is none. */
export async function matchDeviceProfile(driverName: string, totalBytes: Bytes | null): Promise<DeviceProfile | null> {
  const candidates = await findByAlias(driverName.replace(/ MIG \S+$/, ''));
  const distance = (profile: DeviceProfile) => Math.abs((profile.memory.totalBytes ?? 0) - (totalBytes ?? 0));
  return candidates.sort((a, b) => distance(a) - distance(b))[0] ?? null;
}

/** Names of all shipped profiles, sorted. */
export async function deviceProfileNames(): Promise<string[]> {
  return [...(await readProfiles('devices')).keys()];
}

/** All shipped profiles, sorted by name. */
export async function listDeviceProfiles(): Promise<DeviceProfile[]> {
  return [...(await readProfiles('devices')).values()].map(complete);
}

/** Profiles with this alias, the plain one (rtx-3060) before its variants (rtx-3060-8gb). */
async function findByAlias(name: string): Promise<DeviceProfile[]> {
  const wanted = plain(name);
  if (wanted === '') return [];
  const profiles = await listDeviceProfiles();
  const matching = profiles.filter((profile) => [profile.name, ...profile.aliases].some((alias) => plain(alias) === wanted));
  return matching.sort((a, b) => a.name.length - b.name.length);
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

async function parseYaml(text: string): Promise<unknown> {
  const { parse } = await import('yaml');
  return parse(text);
}

/** Fills in what a shipped file leaves out. The shipped files are checked by a test, which spares a start the schema. */
function complete(raw: unknown): DeviceProfile {
  const given = raw as Partial<DeviceProfile> & Pick<DeviceProfile, 'name' | 'kind'>;
  const nothing = { architecture: null, computeCapability: null, bandwidthBytesPerSecond: null, multiprocessors: null, tensorCores: null };
  return {
    ...nothing,
    powerWatts: null,
    tileElements: null,
    notes: null,
    aliases: [],
    vendor: 'any',
    peakFlops: {},
    sources: {},
    ...given,
    memory: { totalBytes: null, usableBytes: null, unified: false, ...given.memory },
    interconnect: given.interconnect ? { ...given.interconnect, bytesPerSecond: given.interconnect.bytesPerSecond ?? null } : null,
  };
}

async function readOwnProfile(path: string): Promise<DeviceProfile> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      'UNREADABLE_DEVICE',
      `--device: could not read ${path}: ${error.code}`,
      'name a profile or a YAML file that describes one',
      {
        cause: error,
      },
    );
  });
  const { deviceProfile } = await import('./profile-schema.js');
  const checked = deviceProfile.safeParse(
    await parseYaml(text).catch((error: Error) => {
      throw new UsageError(
        'BAD_DEVICE',
        `${path}: not YAML: ${error.message.split('\n')[0]}`,
        'compare with "batchfit profiles devices rtx-3090"',
        { cause: error },
      );
    }),
  );
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0]!;
  throw new UsageError(
    'BAD_DEVICE',
    `${path}: ${issue.path.join('.') || 'the profile'}: ${issue.message}`,
    'compare with "batchfit profiles devices rtx-3090"',
  );
}
