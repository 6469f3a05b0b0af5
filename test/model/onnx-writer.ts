/** Writes small ONNX files: messages of onnx.proto by their field numbers. */

const varint = (value: number): number[] => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
};
const field = (number: number, content: number | string | Buffer): Buffer => {
  if (typeof content === 'number') return Buffer.from([...varint(number * 8), ...varint(content)]);
  const bytes = Buffer.from(content as string);
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
};
const message = (...fields: Buffer[]): Buffer => Buffer.concat(fields);

export interface TestNode {
  op: string;
  inputs: string[];
  output: string;
  attributes?: Record<string, number | number[] | string>;
  name?: string;
  domain?: string;
}

export interface TestModel {
  nodes: TestNode[];
  /** Sides; numbers of an initializer make it one of int64, else it has float32 without data. */
  inputs: Record<string, (number | string)[]>;
  integers?: string[];
  initializers?: Record<string, number[] | { values: number[] }>;
  outputs: string[];
  opset?: number;
}

const FLOAT = 1;
const INT64 = 7;

function attribute(name: string, value: number | number[] | string): Buffer {
  const content =
    typeof value === 'number' ? [field(3, value)] : typeof value === 'string' ? [field(4, value)] : value.map((each) => field(8, each));
  return field(5, message(field(1, name), ...content, field(20, Array.isArray(value) ? 7 : typeof value === 'string' ? 3 : 2)));
}

function node({ op, inputs, output, attributes = {}, name = '', domain = '' }: TestNode): Buffer {
  const parts = [...inputs.map((each) => field(1, each)), field(2, output), field(3, name), field(4, op)];
  return message(...parts, ...Object.entries(attributes).map(([key, value]) => attribute(key, value)), field(7, domain));
}

function tensor(name: string, given: number[] | { values: number[] }): Buffer {
  if (Array.isArray(given)) return message(...given.map((extent) => field(1, extent)), field(2, FLOAT), field(8, name));
  return message(field(1, given.values.length), field(2, INT64), ...given.values.map((value) => field(7, value)), field(8, name));
}

function port(name: string, sides: (number | string)[], type: number): Buffer {
  const dims = sides.map((side) => field(1, typeof side === 'number' ? field(1, side) : field(2, side)));
  const shape = sides.length > 0 ? [field(2, message(...dims))] : [];
  return message(field(1, name), field(2, field(1, message(field(1, type), ...shape))));
}

/** The bytes of a model. */
export function writeOnnx({ nodes, inputs, integers = [], initializers = {}, outputs, opset = 17 }: TestModel): Buffer {
  const graph = message(
    ...nodes.map((each) => field(1, node(each))),
    field(2, 'graph'),
    ...Object.entries(initializers).map(([name, given]) => field(5, tensor(name, given))),
    ...Object.entries(inputs).map(([name, sides]) => field(11, port(name, sides, integers.includes(name) ? INT64 : FLOAT))),
    ...outputs.map((name) => field(12, port(name, [], FLOAT))),
  );
  return message(field(1, 8), field(2, 'writer'), field(7, graph), field(8, message(field(2, opset))));
}
