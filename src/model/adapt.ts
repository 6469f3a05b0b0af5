/** Fits a finished graph to the caller's options: image size, sequence length, number of classes. */
import { UsageError } from '../errors.js';
import type { GraphNode, ModelGraph, SymbolRange } from './graph.js';
import type { ModelOptions } from './options.js';

/** The graph with the options as its symbols' defaults. Throws UsageError where the graph can't take one of them. */
export function adaptGraph(graph: ModelGraph, options: ModelOptions): ModelGraph {
  let adapted = graph;
  if (options.image) {
    adapted = setSymbol(adapted, 'H', options.image[0], '--image');
    adapted = setSymbol(adapted, 'W', options.image[1], '--image');
  }
  if (options.seq !== undefined) adapted = setSymbol(adapted, 'S', options.seq, '--seq');
  if (options.classes !== undefined) adapted = setClasses(adapted, options.classes);
  return adapted;
}

const NAMES = { S: 'sequence length', H: 'image height', W: 'image width' } as const;

function setSymbol(graph: ModelGraph, symbol: 'S' | 'H' | 'W', value: number, flag: string): ModelGraph {
  const range = graph.symbols[symbol];
  if (!range) {
    // An image input is [B, channels, height, width]; asking for the size that is built in is no error.
    const image = graph.inputs.find(({ role, shape }) => role === 'data' && shape.length === 4)?.shape;
    if ((symbol === 'H' && image?.[2] === value) || (symbol === 'W' && image?.[3] === value)) return graph;
    const hint = image && symbol !== 'S' ? `its size is ${image[2]}x${image[3]}` : `leave ${flag} out`;
    throw new UsageError('BAD_MODEL_OPTION', `${flag}: ${graph.name} has no ${NAMES[symbol]} that can be changed`, hint);
  }
  checkRange(graph.name, symbol, range, value, flag);
  return { ...graph, symbols: { ...graph.symbols, [symbol]: { ...range, default: value } } };
}

/** Throws UsageError where `value` is outside of the symbol's limits. */
export function checkRange(model: string, symbol: 'S' | 'H' | 'W', range: SymbolRange, value: number, flag: string): void {
  const { min = 1, max = Number.MAX_SAFE_INTEGER, multipleOf = 1 } = range;
  if (Number.isInteger(value) && value >= min && value <= max && value % multipleOf === 0) return;
  const limits = [`from ${min}`, ...(range.max ? [`to ${max}`] : []), ...(multipleOf > 1 ? [`a multiple of ${multipleOf}`] : [])];
  throw new UsageError('BAD_MODEL_OPTION', `${flag}: the ${NAMES[symbol]} of ${model} is ${limits.join(', ')}, found ${value}`);
}

/** Operators that can stand between the classifier and the loss and don't mix classes. */
const PASSES = new Set([
  'aten.relu',
  'aten.relu_',
  'aten.dropout',
  'aten.flatten.using_ints',
  'aten.adaptive_avg_pool2d',
  'aten.mean.dim',
  'aten.squeeze.dims',
  'aten.squeeze.dim',
  'aten.to.dtype',
  'aten.contiguous',
  'aten.add.Tensor',
]);

function setClasses(graph: ModelGraph, classes: number): ModelGraph {
  const refuse = (why: string) =>
    new UsageError(
      'BAD_MODEL_OPTION',
      `--classes: the number of classes of ${graph.name} can't be changed: ${why}`,
      'export the model with the classes it is to have',
    );
  if (!Number.isInteger(classes) || classes < 1) {
    throw new UsageError('BAD_MODEL_OPTION', `--classes: expected a whole number from 1, found ${classes}`);
  }
  const makers = new Map<string, GraphNode>(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const loss = makers.get(graph.loss);
  if (loss?.op !== 'aten.cross_entropy_loss') throw refuse('its loss is not a cross entropy');
  let node = makers.get(valueName(loss.args[0]));
  while (node && PASSES.has(node.op)) node = makers.get(valueName(node.args[0]));
  if (!node || (node.op !== 'aten.linear' && node.op !== 'aten.conv2d')) throw refuse(`it ends in ${node?.op ?? 'an input'}`);
  const last = [valueName(node.args[1]), valueName(node.args[2])];
  const weight = graph.parameters.find(({ name }) => name === last[0]);
  if (!weight) throw refuse('its last layer has no weight of its own');
  const users = graph.nodes.filter(({ args }) => args.includes(`%${weight.name}`));
  if (users.length > 1) throw refuse('its last layer shares its weight');
  const parameters = graph.parameters.map((parameter) =>
    last.includes(parameter.name) ? { ...parameter, shape: [classes, ...parameter.shape.slice(1)] } : parameter,
  );
  const inputs = graph.inputs.map((input) =>
    input.role === 'target' && input.high === weight.shape[0] ? { ...input, high: classes } : input,
  );
  return { ...graph, parameters, inputs };
}

function valueName(argument: unknown): string {
  return typeof argument === 'string' && argument.startsWith('%') ? argument.slice(1) : '';
}
