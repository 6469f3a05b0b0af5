/** Changes the number of classes of a finished graph: the last layer of every head that feeds the loss. */
import { UsageError } from '../errors.js';
import type { Argument, GraphNode, ModelGraph } from './graph.js';

/** Operators that can stand between a classifier and the loss and don't mix classes: of these the first argument counts. */
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
  'aten.upsample_bilinear2d.vec',
]);
/** Operators that join heads (or the losses of heads): of these every value counts. */
const JOINS = new Set(['aten.add.Tensor', 'aten.mul.Tensor', 'aten.div.Tensor', 'aten.stack']);

/** The graph with `classes` classes. Throws UsageError where it has no classifier that can be told from the rest. */
export function setClasses(graph: ModelGraph, classes: number): ModelGraph {
  if (!Number.isInteger(classes) || classes < 1) {
    throw new UsageError('BAD_MODEL_OPTION', `--classes: expected a whole number from 1, found ${classes}`);
  }
  const weights = new Map(graph.parameters.map((parameter) => [parameter.name, parameter] as const));
  const heads = findHeads(graph);
  const resized = new Set<string>();
  const before = new Set<number | undefined>();
  for (const { args } of heads) {
    const weight = weights.get(valueName(args[1]));
    if (!weight) throw refuse(graph, 'its last layer has no weight of its own');
    if (graph.nodes.filter((node) => node.args.includes(`%${weight.name}`)).length > 1)
      throw refuse(graph, 'its last layer shares its weight');
    before.add(weight.shape[0]);
    resized.add(weight.name).add(valueName(args[2]));
  }
  if (before.size > 1) throw refuse(graph, `its heads have ${[...before].join(' and ')} classes`);
  const parameters = graph.parameters.map((parameter) =>
    resized.has(parameter.name) ? { ...parameter, shape: [classes, ...parameter.shape.slice(1)] } : parameter,
  );
  const inputs = graph.inputs.map((input) =>
    input.role === 'target' && input.high !== undefined && before.has(input.high) ? { ...input, high: classes } : input,
  );
  return { ...graph, parameters, inputs };
}

/** The linear or convolution at the end of each head. */
function findHeads(graph: ModelGraph): GraphNode[] {
  const makers = new Map<string, GraphNode>(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const heads = new Set<GraphNode>();
  const walk = (name: string, isLoss: boolean): void => {
    const node = makers.get(name);
    const { op = 'an input', args = [] } = node ?? {};
    if (JOINS.has(op)) for (const each of valuesOf(args)) walk(each, isLoss);
    else if (isLoss && op === 'aten.cross_entropy_loss') walk(valueName(args[0]), false);
    else if (isLoss) throw refuse(graph, 'its loss is not a cross entropy');
    else if (PASSES.has(op)) walk(valueName(args[0]), false);
    else if (node && /^aten\.(linear|conv[23]d)$/.test(op)) heads.add(node);
    else throw refuse(graph, `it ends in ${op}`);
  };
  walk(graph.loss, true);
  return [...heads];
}

function refuse(graph: ModelGraph, why: string): UsageError {
  return new UsageError(
    'BAD_MODEL_OPTION',
    `--classes: the number of classes of ${graph.name} can't be changed: ${why}`,
    'export the model with the classes it is to have',
  );
}

function valuesOf(args: Argument[]): string[] {
  return args.flat().map(valueName).filter(Boolean);
}

function valueName(argument: unknown): string {
  return typeof argument === 'string' && argument.startsWith('%') ? argument.slice(1) : '';
}
