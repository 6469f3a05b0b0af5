/**
 * LoRA as the peft library does it: the model's own weights are frozen, and each targeted linear module adds
 * B(A(x)) * scaling to its result. Adapters are float32, also over a base in low precision: the input is cast to them
 * and the sum back to the result's type (peft/tuners/lora/layer.py, Linear.forward; dropout is off, so an identity).
 */
import { UsageError } from '../../errors.js';
import type { GraphNode, ModelGraph, Parameter } from '../graph.js';
import { headWeights } from './heads.js';
import { freshNames, type LinearCall, linearCalls, nameOf, pathOf } from './linears.js';

export interface LoraOptions {
  rank: number;
  /** Names of modules ("q_proj", "attn.qkv"), or "all-linear". Empty: what the library picks for the model's family. */
  targets: readonly string[];
  /** Activation checkpointing is on: the library then has the input embeddings' result ask for a gradient. */
  checkpointing: boolean;
  /** The base is quantized: its result is copied, and under autocast nothing is cast (peft/tuners/lora/bnb.py). */
  quantized?: { autocast: boolean };
}

/** What peft targets by default, by the names that families of models give (peft/utils/constants.py); timm's last. */
const DEFAULT_TARGETS = [
  ['q_proj', 'v_proj'],
  ['query', 'value'],
  ['query_proj', 'value_proj'],
  ['q_lin', 'v_lin'],
  ['query_key_value'],
  ['c_attn'],
  ['q', 'v'],
  ['qkv'],
];

/** The graph with adapters. Throws UsageError where no linear module has a targeted name. */
export function addAdapters(graph: ModelGraph, options: LoraOptions): ModelGraph {
  const fresh = freshNames(graph);
  const calls = targetedCalls(graph, options.targets);
  const adapters = new Map<Parameter, [down: Parameter, up: Parameter]>();
  for (const { weight, module, inFeatures, outFeatures } of calls) {
    const path = pathOf(module);
    const adapter = (name: string, shape: number[]): Parameter => ({
      name: fresh(`${path}.${name}.default.weight`),
      shape,
      dtype: 'float32',
    });
    if (adapters.has(weight)) continue;
    adapters.set(weight, [adapter('lora_A', [options.rank, inFeatures]), adapter('lora_B', [outFeatures, options.rank])]);
  }
  const nodes = graph.nodes.map((node) => [node]);
  for (const call of calls) adaptCall(nodes, call, adapters.get(call.weight) as [Parameter, Parameter], fresh, options.quantized);
  if (options.checkpointing) requireInputGradients(graph, nodes);
  // A module's adapters follow its own weights, as in named_parameters().
  const after = new Map(calls.map((call) => [call.bias || call.weight.name, adapters.get(call.weight) as [Parameter, Parameter]]));
  const parameters = graph.parameters.flatMap((p) => [{ ...p, trainable: false }, ...(after.get(p.name) ?? [])]);
  return { ...graph, parameters, nodes: nodes.flat() };
}

function targetedCalls(graph: ModelGraph, targets: readonly string[]): LinearCall[] {
  const calls = linearCalls(graph);
  const heads = headWeights(graph);
  const matches = (names: readonly string[]): LinearCall[] =>
    calls.filter(({ module, weight }) => {
      const path = pathOf(module);
      return names.some((name) => (name === 'all-linear' ? !heads.has(weight.name) : path === name || path.endsWith(`.${name}`)));
    });
  const found = targets.length > 0 ? matches(targets) : (DEFAULT_TARGETS.map(matches).find((some) => some.length > 0) ?? []);
  if (found.length > 0) return found;
  const names = [...new Set(calls.map(({ module }) => pathOf(module).split('.').at(-1) ?? ''))].filter((name) => !/^\d+$/.test(name));
  throw new UsageError(
    'NO_LORA_TARGETS',
    `--lora-targets: ${graph.name} has no linear module named ${targets.length > 0 ? targets.join(' or ') : 'as adapters are used to'}`,
    names.length > 0 ? `its linear modules are ${names.join(', ')}; or say all-linear` : 'adapters are for linear modules, and it has none',
  );
}

/** The base layer's result gets another name; the sum with the adapter takes its place. */
function adaptCall(
  nodes: GraphNode[][],
  call: LinearCall,
  [down, up]: [Parameter, Parameter],
  fresh: (base: string) => string,
  quantized: LoraOptions['quantized'],
): void {
  const { module } = call;
  for (let i = call.start; i <= call.end; i++) nodes[i] = (nodes[i] as GraphNode[]).map((n) => ({ ...n, module: `${module}.base_layer` }));
  const base = (nodes[call.end] as GraphNode[])[0] as GraphNode;
  const result = base.outputs[0] as string;
  const made: GraphNode[] = [];
  const node = (op: string, args: GraphNode['args'], output: string, within = module): string => {
    made.push({ op: `aten.${op}`, args, outputs: [output], module: within });
    return `%${output}`;
  };
  const named = (part: string): string => fresh(`${result}_${part}`);
  const plain = named('base');
  made.push({ ...base, outputs: [plain] });
  const kept = quantized ? node('clone', [`%${plain}`], named('copy')) : `%${plain}`;
  const input = quantized?.autocast ? `%${call.input}` : node('to.dtype', [`%${call.input}`, 'float32'], named('input'));
  const low = node('linear', [input, `%${down.name}`], named('lora_A'), `${module}.lora_A.default`);
  const high = node('linear', [low, `%${up.name}`], named('lora_B'), `${module}.lora_B.default`);
  const scaled = node('mul.Tensor', [high, 2], named('scaled'));
  if (quantized) {
    node('add.Tensor', [kept, quantized.autocast ? scaled : node('to.dtype', [scaled, 'model'], named('cast'))], result);
  } else node('to.dtype', [node('add.Tensor', [kept, scaled], named('sum')), 'model'], result);
  nodes[call.end] = made;
}

/** enable_input_require_grads: what the input embeddings return becomes a leaf whose gradient is kept. */
function requireInputGradients(graph: ModelGraph, nodes: GraphNode[][]): void {
  const embeddings = graph.nodes.filter(({ op }) => op === 'aten.embedding');
  const weight = nameOf(embeddings[0]?.args[0]);
  for (const { args, module } of embeddings) {
    if (weight === '' || nameOf(args[0]) !== weight) continue;
    const last = graph.nodes.findLastIndex((node) => node.module === module);
    const value = graph.nodes[last]?.outputs[0];
    nodes[last]?.push({ op: 'aten.requires_grad_', args: [`%${value}`], outputs: [''], module });
  }
}
