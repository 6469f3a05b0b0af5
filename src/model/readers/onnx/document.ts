/** The messages of onnx.proto that describe a graph; weights are read as far as their shapes, constants with their numbers. */
import type { DType } from '../../graph.js';
import { readFields, readNumbers, readPacked, readText } from './wire.js';

export interface Tensor {
  name: string;
  shape: number[];
  dtype: DType;
  /** The numbers of a small tensor; null where it is large, or kept in another file. */
  values: number[] | null;
}

export type Attribute = number | string | Tensor | number[] | string[] | 'graph';

export interface Node {
  op: string;
  domain: string;
  name: string;
  inputs: string[];
  outputs: string[];
  attributes: Map<string, Attribute>;
}

/** An input or output of the graph; sides are numbers, names, or null. */
export interface Port {
  name: string;
  dtype: DType;
  shape: (number | string | null)[] | null;
}

export interface Document {
  producer: string;
  /** Version of the operators of the default domain. */
  opset: number;
  name: string;
  nodes: Node[];
  initializers: Map<string, Tensor>;
  inputs: Port[];
  outputs: Port[];
  /** Names of functions that the file itself defines. */
  functions: string[];
}

/** TensorProto.DataType. */
const DTYPES: Record<number, DType> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  16: 'bfloat16',
};
const FLOATS: DType[] = ['float32', 'float16', 'bfloat16'];
/** Larger tensors are weights; no shape or axis has as many numbers. */
const MOST_VALUES = 65_536;

/** Weights in any of the usual widths have the precision that the setup trains in. */
function dtypeOf(code: number): DType {
  const dtype = DTYPES[code] ?? 'float32';
  return FLOATS.includes(dtype) ? 'model' : dtype;
}

const bytesOf = (value: number | Uint8Array): Uint8Array => (typeof value === 'number' ? new Uint8Array() : value);
const numberOf = (value: number | Uint8Array): number => (typeof value === 'number' ? value : 0);
const numbersOf = (value: number | Uint8Array): number[] => (typeof value === 'number' ? [value] : readPacked(value));

/** ModelProto. Throws RangeError where the bytes are no such message, or hold no graph. */
export function readDocument(bytes: Uint8Array): Document {
  const document: Document = {
    producer: '',
    opset: 0,
    name: '',
    nodes: [],
    initializers: new Map(),
    inputs: [],
    outputs: [],
    functions: [],
  };
  let version = '';
  let graph: Uint8Array | null = null;
  for (const { number, value } of readFields(bytes)) {
    if (number === 2) document.producer = readText(value);
    else if (number === 3) version = readText(value);
    else if (number === 7) graph = bytesOf(value);
    else if (number === 8) document.opset = Math.max(document.opset, readOpset(bytesOf(value)));
    else if (number === 25) document.functions.push(readName(bytesOf(value)));
  }
  if (!graph) throw new RangeError('it holds no graph');
  if (version) document.producer += ` ${version}`;
  readGraph(graph, document);
  return document;
}

function readOpset(bytes: Uint8Array): number {
  let [domain, version] = ['', 0];
  for (const { number, value } of readFields(bytes)) {
    if (number === 1) domain = readText(value);
    else if (number === 2) version = numberOf(value);
  }
  return domain === '' || domain === 'ai.onnx' ? version : 0;
}

function readName(bytes: Uint8Array): string {
  for (const { number, value } of readFields(bytes)) if (number === 1) return readText(value);
  return '';
}

function readGraph(bytes: Uint8Array, document: Document): void {
  for (const { number, value } of readFields(bytes)) {
    if (number === 1) document.nodes.push(readNode(bytesOf(value)));
    else if (number === 2) document.name = readText(value);
    else if (number === 5) {
      const tensor = readTensor(bytesOf(value));
      document.initializers.set(tensor.name, tensor);
    } else if (number === 11) document.inputs.push(readPort(bytesOf(value)));
    else if (number === 12) document.outputs.push(readPort(bytesOf(value)));
  }
}

function readNode(bytes: Uint8Array): Node {
  const node: Node = { op: '', domain: '', name: '', inputs: [], outputs: [], attributes: new Map() };
  for (const { number, value } of readFields(bytes)) {
    if (number === 1) node.inputs.push(readText(value));
    else if (number === 2) node.outputs.push(readText(value));
    else if (number === 3) node.name = readText(value);
    else if (number === 4) node.op = readText(value);
    else if (number === 5) node.attributes.set(...readAttribute(bytesOf(value)));
    else if (number === 7) node.domain = readText(value);
  }
  return node;
}

function readAttribute(bytes: Uint8Array): [string, Attribute] {
  let name = '';
  let attribute: Attribute = 0;
  const list: number[] = [];
  const texts: string[] = [];
  let kind = 0;
  for (const { number, value, fixed } of readFields(bytes)) {
    if (number === 1) name = readText(value);
    else if (number === 2) attribute = readNumbers(bytesOf(value), 'float32')[0] ?? 0;
    else if (number === 3) attribute = numberOf(value);
    else if (number === 4) attribute = readText(value);
    else if (number === 5) attribute = readTensor(bytesOf(value));
    else if (number === 6) attribute = 'graph';
    else if (number === 7) list.push(...readNumbers(bytesOf(value), 'float32'));
    else if (number === 8) list.push(...(fixed ? [] : numbersOf(value)));
    else if (number === 9) texts.push(readText(value));
    else if (number === 20) kind = numberOf(value);
  }
  if (list.length > 0 || kind === 6 || kind === 7) return [name, list];
  return [name, texts.length > 0 ? texts : attribute];
}

function readTensor(bytes: Uint8Array): Tensor {
  const shape: number[] = [];
  const typed: number[] = [];
  let [name, code] = ['', 0];
  let raw: Uint8Array | null = null;
  for (const { number, value } of readFields(bytes)) {
    if (number === 1) shape.push(...numbersOf(value));
    else if (number === 2) code = numberOf(value);
    else if (number === 4) typed.push(...(bytesOf(value).length > 4 * MOST_VALUES ? [] : readNumbers(bytesOf(value), 'float32')));
    else if (number === 5 || number === 7) typed.push(...numbersOf(value));
    else if (number === 8) name = readText(value);
    else if (number === 9) raw = bytesOf(value);
    else if (number === 10) typed.push(...readNumbers(bytesOf(value), 'float64'));
  }
  const count = shape.reduce((product, extent) => product * extent, 1);
  const stored = DTYPES[code];
  const readable = stored === 'float32' || stored === 'float64' || stored === 'int64' || stored === 'int32' || stored === 'bool';
  const values = raw && readable && count <= MOST_VALUES ? readNumbers(raw, stored) : typed;
  return { name, shape, dtype: dtypeOf(code), values: values.length === count ? values : null };
}

function readPort(bytes: Uint8Array): Port {
  const port: Port = { name: '', dtype: 'float32', shape: null };
  for (const { number, value } of readFields(bytes)) {
    if (number === 1) port.name = readText(value);
    if (number !== 2) continue;
    // TypeProto.tensor_type: its element type and its shape.
    for (const type of readFields(bytesOf(value))) {
      if (type.number !== 1) continue;
      for (const part of readFields(bytesOf(type.value))) {
        if (part.number === 1) port.dtype = dtypeOf(numberOf(part.value));
        else if (part.number === 2) port.shape = readSides(bytesOf(part.value));
      }
    }
  }
  return port;
}

function readSides(bytes: Uint8Array): (number | string | null)[] {
  const sides: (number | string | null)[] = [];
  for (const { number, value } of readFields(bytes)) {
    if (number !== 1) continue;
    let side: number | string | null = null;
    for (const part of readFields(bytesOf(value))) {
      if (part.number === 1) side = numberOf(part.value);
      else if (part.number === 2) side = readText(part.value) || null;
    }
    sides.push(side);
  }
  return sides;
}
