/**
 * Packs exported graphs into profiles/graphs: one file of compressed graphs for each architecture, and a table of them.
 * usage: pack-graphs.mjs FOLDER... (each with *.graph.json from export_graphs.py; the build must be there)
 * What is packed already and not in the folders stays. The same graphs give the same bytes.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { componentsOf, mapValues, moduleOfCall, unpackGraph } from '../dist/model/packed.js';
import { COLUMNS, DICTIONARY_BYTES, findShipped, shippedModels } from '../dist/model/shipped.js';
import { checkGraph, parseGraph } from '../dist/model/validate.js';

const GRAPHS = new URL('../profiles/graphs/', import.meta.url);
const NAMES = new URL('graph-names.txt', import.meta.url);
/** A graph that compresses to less than this share of its size alone needs no key of its own. */
const WORTH_SHARING = 0.6;

/** "timm:resnet50  # resnet": every name with its architecture, and for one that can't be exported the reason. */
function readNames() {
  const lines = readFileSync(NAMES, 'utf8')
    .split('\n')
    .filter((line) => /^\w+:/.test(line));
  return lines.map((line) => {
    const [, reference, architecture, reason] = /^(\S+)\s+# ([\w.]+)(?:: (.*))?$/.exec(line) ?? [];
    if (!reference) throw new Error(`${NAMES.pathname}: expected "library:name  # architecture", found "${line}"`);
    return { reference, file: `${reference.split(':')[0]}/${architecture}.graphs`, reason };
  });
}

function packNames(names) {
  let last = [];
  return names.map((name) => {
    const components = componentsOf(name);
    let shared = 0;
    while (shared < 35 && shared < last.length && shared < components.length && last[shared] === components[shared]) shared++;
    last = components;
    return shared.toString(36) + components.slice(shared).join('.');
  });
}

function packNodes(nodes) {
  const modules = packNames(nodes.map(({ module }) => module));
  const numbers = new Map();
  const reference = (name, path) => {
    if (numbers.has(name)) return `%-${numbers.size - numbers.get(name)}`;
    const components = componentsOf(name);
    let shared = 0;
    while (shared < path.length && shared < components.length - 1 && path[shared] === components[shared]) shared++;
    return shared === 0 ? `%${name}` : `%${'.'.repeat(path.length - shared + 1)}${components.slice(shared).join('.')}`;
  };
  const packed = nodes.map(({ op, args, kwargs, outputs, module }, index) => {
    const path = componentsOf(moduleOfCall(module));
    const pack = (argument) => {
      if (Array.isArray(argument)) return argument.map(pack);
      return typeof argument === 'string' && argument.startsWith('%') ? reference(argument.slice(1), path) : argument;
    };
    const node = [op.startsWith('aten.') ? op.slice(5) : op.replace('.', '::'), args.map(pack), modules[index]];
    const named = kwargs && mapValues(kwargs, pack);
    for (const name of outputs) if (name !== '') numbers.set(name, numbers.size);
    if (outputs.length !== 1 || outputs[0] === '' || named) {
      node.push(outputs.includes('') ? outputs.map((name) => (name === '' ? '0' : '1')).join('') : outputs.length);
    }
    if (named) node.push(named);
    return node;
  });
  return { packed, reference: (name) => reference(name, []) };
}

/** The text that is compressed. Throws where unpacking it would not give the same graph. */
function packGraph(graph) {
  const { packed: nodes, reference } = packNodes(graph.nodes);
  const parameters = packNames(graph.parameters.map(({ name }) => name)).map((name, index) => {
    const { name: _, shape, ...traits } = graph.parameters[index];
    return [name, ...shape, ...(Object.keys(traits).length > 0 ? [traits] : [])];
  });
  const buffers = packNames(graph.buffers.map(({ name }) => name)).map((name, index) => {
    const { shape, dtype } = graph.buffers[index];
    return [name, dtype, ...shape];
  });
  const packed = {
    versions: graph.source.versions,
    symbols: graph.symbols,
    inputs: graph.inputs,
    parameters,
    buffers,
    nodes,
    loss: reference(graph.loss),
    outputs: graph.outputs.map(reference),
    checkpoints: packNames(graph.checkpoints),
  };
  const text = JSON.stringify(packed);
  const back = unpackGraph(JSON.parse(text), graph.source.reference);
  checkGraph(back, graph.source.reference);
  if (JSON.stringify(renamed(back)) !== JSON.stringify(renamed(graph)))
    throw new Error(`${graph.source.reference}: packing loses something`);
  return text;
}

/** The graph with its values numbered, so that two namings of one graph are equal. */
function renamed(graph) {
  const numbers = new Map(graph.nodes.flatMap(({ outputs }) => outputs.filter(Boolean)).map((name, index) => [name, `#${index}`]));
  const rename = (argument) => {
    if (Array.isArray(argument)) return argument.map(rename);
    return typeof argument === 'string' && argument.startsWith('%') ? `%${numbers.get(argument.slice(1)) ?? argument.slice(1)}` : argument;
  };
  const nodes = graph.nodes.map(({ op, args, kwargs, outputs, module }) => [
    op,
    args.map(rename),
    kwargs && mapValues(kwargs, rename),
    outputs.map((name) => numbers.get(name) ?? ''),
    module,
  ]);
  const { symbols, parameters, buffers, inputs, loss, outputs, checkpoints } = graph;
  const plain = parameters.map(({ name, shape, ...traits }) => [name, shape, Object.entries(traits).sort()]);
  const values = [loss, ...outputs].map((name) => numbers.get(name) ?? name);
  return { symbols, plain, buffers: buffers.map(({ name, shape, dtype }) => [name, shape, dtype]), inputs, nodes, values, checkpoints };
}

const dictionaryOf = (bytes) => bytes.subarray(-DICTIONARY_BYTES);

function deflate(bytes, key) {
  const options = { level: constants.Z_BEST_COMPRESSION, memLevel: 9 };
  return deflateRawSync(bytes, key ? { ...options, dictionary: dictionaryOf(key) } : options);
}

/** Compresses the graphs of one architecture: the largest first, and each against the most alike of those that stand alone. */
function packFile(models) {
  const keys = [];
  const order = [...models].sort((a, b) => b.bytes.length - a.bytes.length || (a.reference < b.reference ? -1 : 1));
  for (const model of order) {
    const alone = deflate(model.bytes);
    const tried = keys.map((key) => ({ key, packed: deflate(model.bytes, key.bytes) }));
    const best = tried.sort((a, b) => a.packed.length - b.packed.length)[0];
    const shares = best !== undefined && best.packed.length < WORTH_SHARING * alone.length;
    Object.assign(model, shares ? best : { key: null, packed: alone });
    if (!shares) keys.push(model);
  }
  let offset = 0;
  const sorted = [...models].sort((a, b) => (a.reference < b.reference ? -1 : 1));
  for (const model of sorted) {
    model.offset = offset;
    offset += model.packed.length;
  }
  return Buffer.concat(sorted.map(({ packed }) => packed));
}

/** The texts that are packed already, by reference. */
function readPacked() {
  const texts = new Map();
  let table;
  try {
    table = readFileSync(new URL('index.tsv', GRAPHS), 'utf8');
  } catch {
    return texts;
  }
  for (const { reference } of shippedModels(table)) {
    const { file, offset, length, key } = findShipped(table, reference);
    const bytes = readFileSync(new URL(file, GRAPHS));
    const slice = (place) => bytes.subarray(place.offset, place.offset + place.length);
    const dictionary = key ? { dictionary: dictionaryOf(inflateRawSync(slice(key))) } : {};
    texts.set(reference, inflateRawSync(slice({ offset, length }), dictionary).toString('utf8'));
  }
  return texts;
}

function describe(reference, text) {
  const graph = unpackGraph(JSON.parse(text), reference);
  const count = graph.parameters.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const defaults = mapValues(graph.symbols, (range) => range.default);
  const shape = graph.inputs.find(({ role }) => role === 'data').shape.slice(1);
  return [count, shape.map((size) => defaults[size] ?? size).join('x'), graph.symbols.H ? 'free' : 'fixed'];
}

const folders = process.argv.slice(2);
const texts = readPacked();
const names = readNames();
const known = new Set(names.map(({ reference }) => reference));
for (const folder of folders) {
  for (const name of readdirSync(folder)
    .filter((file) => file.endsWith('.graph.json'))
    .sort()) {
    const path = `${folder}/${name}`;
    let document;
    try {
      document = JSON.parse(readFileSync(path, 'utf8'));
    } catch {
      console.error(`${path}: not complete yet`);
      continue;
    }
    const graph = await parseGraph(document, path);
    if (!known.has(graph.source.reference)) throw new Error(`${path}: ${graph.source.reference} is not in ${NAMES.pathname}`);
    texts.set(graph.source.reference, packGraph(graph));
  }
}

const files = new Map();
for (const { reference, file } of names) {
  const text = texts.get(reference);
  if (text === undefined) continue;
  if (!files.has(file)) files.set(file, []);
  files.get(file).push({ reference, text, bytes: Buffer.from(text) });
}
rmSync(GRAPHS, { recursive: true, force: true });
const lines = new Map();
let total = 0;
for (const [file, models] of files) {
  mkdirSync(new URL('./', new URL(file, GRAPHS)), { recursive: true });
  const bytes = packFile(models);
  total += bytes.length;
  writeFileSync(new URL(file, GRAPHS), bytes);
  for (const { reference, text, packed, offset, key } of models) {
    const place = [file, offset, packed.length, ...(key ? [key.offset, key.packed.length] : [])];
    lines.set(reference, [reference, ...describe(reference, text), ...place].join('\t'));
  }
}
const table = names.map(({ reference, reason }) => lines.get(reference) ?? `${reference}\t${reason ?? ''}`);
writeFileSync(new URL('index.tsv', GRAPHS), `${[COLUMNS.join('\t'), ...table.sort()].join('\n')}\n`);
console.error(`${lines.size} of ${names.length} graphs in ${files.size} files, ${total} bytes`);
