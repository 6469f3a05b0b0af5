/** Finds the model that a reference means and reads it. The only file of this room that touches the disk. */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzip, inflateRaw } from 'node:zlib';
import { UsageError } from '../errors.js';
import { readProfiles } from '../profiles.js';
import { adaptGraph } from './adapt.js';
import { formatOfDocument, formatOfFile, parseText, type TextSyntax, unsupportedModel } from './formats.js';
import type { ModelGraph } from './graph.js';
import { nearestNames } from './nearest.js';
import type { ModelOptions } from './options.js';
import { type PackedGraph, unpackGraph } from './packed.js';
import { adaptShipped, DICTIONARY_BYTES, findShipped, needsExport, type ShippedModel, shippedModels } from './shipped.js';

const GRAPHS = join(packageFolder(), 'profiles', 'graphs');
/** Nothing that is read as text is near this; weights are. */
const LARGEST_TEXT_BYTES = 256 * 1024 * 1024;
/** These hold their weights, too: as much as Node reads at once, and a protocol buffer may have. */
const LARGEST_BINARY_BYTES = 2 ** 31 - 1;
const EXPECTED =
  'a model is a profile name, a .yaml spec, a Hugging Face config.json or its folder, a Keras or TensorFlow.js model.json, a .keras or .onnx file, a *.graph.json, timm:NAME or torchvision:NAME';

/**
 * Reads a model: a profile's name, a batchfit spec (`*.yaml`), a Hugging Face `config.json` or its folder, a Keras or
 * TensorFlow.js `model.json`, a `.keras` or `.onnx` file, an exported graph (`*.graph.json`, `*.graph.json.gz`), or a
 * shipped graph (`timm:NAME`, `torchvision:NAME`).
 * Throws UsageError for what can't be read, and MissingError with the code NEEDS_EXPORT for what PyTorch has to export.
 */
export async function readModel(reference: string, options: ModelOptions = {}): Promise<ModelGraph> {
  if (/^(timm|torchvision):/.test(reference)) return readShippedGraph(reference, options);
  if (/\.py(:\w+)?$/.test(reference)) throw needsExport(reference);
  const profile = (await readProfiles('models')).get(reference);
  if (profile !== undefined) {
    const { readSpec } = await import('./readers/spec/read.js');
    return readSpec(profile, { format: 'profile', reference }, options);
  }
  const info = await stat(reference).catch(async (error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' || error.code === 'ENOTDIR' ? await unknownModel(reference) : unreadable(reference, error);
  });
  const file = info.isDirectory() ? fileInFolder(reference) : reference;
  const size = info.isDirectory() ? (await stat(file)).size : info.size;
  if (!info.isDirectory() && !info.isFile()) throw new UsageError('BAD_MODEL', `${file}: not a regular file`, EXPECTED);
  // By its name first: weights must be refused without reading gigabytes.
  const syntax = formatOfFile(file);
  const largest = syntax === 'json' || syntax === 'yaml' ? LARGEST_TEXT_BYTES : LARGEST_BINARY_BYTES;
  if (size === 0) throw new UsageError('BAD_MODEL', `${file}: the file is empty`, EXPECTED);
  if (size > largest) throw new UsageError('BAD_MODEL', `${file}: too large for a model description (${size} bytes)`, EXPECTED);
  const bytes = await readBytes(file);
  const plain = file.endsWith('.gz') ? await unzip(bytes, file) : bytes;
  if (syntax === 'keras') return readKerasArchive(plain, file, options);
  if (syntax === 'onnx') {
    const { readOnnx } = await import('./readers/onnx/read.js');
    return readOnnx(plain, { format: 'onnx', reference: file }, options);
  }
  return readDocument(plain, file, syntax, options);
}

/** What a shipped profile says about itself, for lists. */
export interface ModelProfileSummary {
  name: string;
  about: string;
  /** Published parameter count. */
  parameters: number;
  input: string;
}

/** The shipped model profiles, sorted by name. */
export async function listModelProfiles(): Promise<ModelProfileSummary[]> {
  const { summarizeProfile } = await import('./readers/spec/summary.js');
  return [...(await readProfiles('models'))].map(([name, document]) => summarizeProfile(document, name));
}

async function readDocument(bytes: Buffer, file: string, syntax: TextSyntax, options: ModelOptions): Promise<ModelGraph> {
  const document = await parseText(bytes, file, syntax);
  const format = formatOfDocument(document, file, syntax);
  if (format === 'torch-export') {
    const { parseGraph } = await import('./validate.js');
    return adaptGraph(await parseGraph(document, file), options);
  }
  const source = { format, reference: file };
  if (format === 'hf-config') {
    const { readHuggingFaceConfig } = await import('./readers/hf/read.js');
    return readHuggingFaceConfig(document, source, options);
  }
  if (format === 'keras') {
    const { readKeras } = await import('./readers/keras/read.js');
    return readKeras(document, source, options);
  }
  if (format === 'tfjs') {
    const { readTfjs } = await import('./readers/tfjs/read.js');
    return readTfjs(document, source, options);
  }
  const { readSpec } = await import('./readers/spec/read.js');
  return readSpec(document, source, options);
}

/** A `.keras` file: its config.json is the model, its weights stay packed. */
async function readKerasArchive(bytes: Buffer, file: string, options: ModelOptions): Promise<ModelGraph> {
  const { readArchive } = await import('../archive.js');
  const members = ((): Map<string, Buffer> => {
    try {
      return readArchive(bytes, ['config.json', 'metadata.json']);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new UsageError('BAD_MODEL', `${file}: not a .keras file: ${error.message}`, 'save the model again: model.save("model.keras")');
    }
  })();
  const config = members.get('config.json');
  if (!config)
    throw new UsageError('BAD_MODEL', `${file}: the archive holds no config.json`, 'save the model again: model.save("model.keras")');
  const document = await parseText(config, `${file}: config.json`, 'json');
  const metadata = await parseText(members.get('metadata.json') ?? Buffer.from('{}'), `${file}: metadata.json`, 'json');
  if (formatOfDocument(document, `${file}: config.json`, 'json') !== 'keras')
    throw new UsageError('BAD_MODEL', `${file}: config.json: expected a "class_name"`, 'save the model again: model.save("model.keras")');
  const { readKeras } = await import('./readers/keras/read.js');
  const merged = { ...(metadata as Record<string, unknown>), ...(document as Record<string, unknown>) };
  return readKeras(merged, { format: 'keras', reference: file }, options);
}

/** The graphs that the package ships, in the order of their names; with `search`, those whose reference holds it. */
export async function listShippedModels(search?: string): Promise<ShippedModel[]> {
  return shippedModels(await readTable(), search);
}

/** A graph that the package ships: made by our own exporter and checked in our tests, so read without the schema. */
async function readShippedGraph(reference: string, options: ModelOptions): Promise<ModelGraph> {
  const { file, offset, length, key } = findShipped(await readTable(), reference);
  const bytes = await readBytes(join(GRAPHS, file));
  const inflated = (place: { offset: number; length: number }, dictionary?: Buffer): Promise<Buffer> =>
    promisify(inflateRaw)(bytes.subarray(place.offset, place.offset + place.length), dictionary && { dictionary });
  const known = key ? (await inflated(key)).subarray(-DICTIONARY_BYTES) : undefined;
  const packed = JSON.parse((await inflated({ offset, length }, known)).toString('utf8')) as PackedGraph;
  return adaptShipped(unpackGraph(packed, reference), options);
}

async function readTable(): Promise<string> {
  return (await readBytes(join(GRAPHS, 'index.tsv'))).toString('utf8');
}

function fileInFolder(folder: string): string {
  const config = join(folder, 'config.json');
  if (existsSync(config)) return config;
  if (existsSync(join(folder, 'model.json'))) return join(folder, 'model.json');
  if (existsSync(join(folder, 'saved_model.pb'))) throw unsupportedModel(folder, 'a TensorFlow SavedModel');
  throw new UsageError(
    'BAD_MODEL',
    `${folder}: the folder has no config.json`,
    'name a folder that holds a Hugging Face config.json, or the file itself',
  );
}

async function readBytes(file: string): Promise<Buffer> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(file, error);
  });
}

async function unzip(bytes: Buffer, file: string): Promise<Buffer> {
  return promisify(gunzip)(bytes).catch((error: Error) => {
    throw new UsageError('BAD_MODEL', `${file}: not a gzip file (${error.message})`, EXPECTED, { cause: error });
  });
}

function unreadable(file: string, error: NodeJS.ErrnoException): UsageError {
  return new UsageError(
    'UNREADABLE_MODEL',
    `${file}: can't be read (${error.code ?? error.message})`,
    'check the path and its permissions',
    { cause: error },
  );
}

async function unknownModel(reference: string): Promise<UsageError> {
  const near = nearestNames(reference, [...(await readProfiles('models')).keys()]);
  const shipped = (await listShippedModels()).map((model) => model.reference).filter((each) => each.endsWith(`:${reference}`));
  if (shipped.length > 0) near.splice(0, near.length, ...shipped);
  const hint =
    near.length > 0
      ? `did you mean ${near.join(', ')}? "batchfit profiles models" lists all`
      : '"batchfit profiles models" lists the profiles';
  return new UsageError('UNKNOWN_MODEL', `there is no profile and no file "${reference}"`, `${hint}; ${EXPECTED}`);
}

/** The folder of package.json: two levels up, from src/ and from dist/ alike. */
function packageFolder(): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..');
}
