/**
 * The files of `profiles/` that are parsed as a whole: devices, models, recipes. The build packs each kind into one JSON,
 * which a start reads many times faster than YAML; a checkout that is not built reads the YAML itself.
 */
import { readdir, readFile } from 'node:fs/promises';

export type ProfileKind = 'devices' | 'models' | 'recipes';

const PACKED = new URL('./profiles/', import.meta.url);
const SOURCES = new URL('../profiles/', import.meta.url);

const read = new Map<ProfileKind, Promise<ReadonlyMap<string, unknown>>>();

/** Every shipped profile of a kind, parsed, by its name (the file's, without `.yaml`), sorted. */
export function readProfiles(kind: ProfileKind): Promise<ReadonlyMap<string, unknown>> {
  const known = read.get(kind);
  if (known) return known;
  const profiles = readPacked(kind);
  read.set(kind, profiles);
  return profiles;
}

async function readPacked(kind: ProfileKind): Promise<ReadonlyMap<string, unknown>> {
  const packed = await readFile(new URL(`${kind}.json`, PACKED), 'utf8').catch(() => null);
  return packed === null ? parseSources(kind) : new Map(Object.entries(JSON.parse(packed)));
}

/** Parses the YAML of a kind; what the build packs. */
export async function parseSources(kind: ProfileKind): Promise<ReadonlyMap<string, unknown>> {
  const folder = new URL(`${kind}/`, SOURCES);
  const { parse } = await import('yaml');
  const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml')).sort();
  const texts = await Promise.all(files.map((file) => readFile(new URL(file, folder), 'utf8')));
  return new Map(files.map((file, i) => [file.slice(0, -'.yaml'.length), parse(texts[i] as string)]));
}
