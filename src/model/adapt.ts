/** Fits a finished graph to the caller's options: image size, sequence length, number of classes. */
import { UsageError } from '../errors.js';
import { setClasses } from './classes.js';
import type { ModelGraph, SymbolRange } from './graph.js';
import type { ModelOptions } from './options.js';

/** The graph with the options as its symbols' defaults. Throws UsageError where the graph can't take one of them. */
export function adaptGraph(graph: ModelGraph, options: ModelOptions): ModelGraph {
  refuseHead(graph.name, options);
  let adapted = graph;
  if (options.image) {
    adapted = setSymbol(adapted, 'H', options.image[0], '--image');
    adapted = setSymbol(adapted, 'W', options.image[1], '--image');
  }
  if (options.seq !== undefined) adapted = setSymbol(adapted, 'S', options.seq, '--seq');
  if (options.classes !== undefined) adapted = setClasses(adapted, options.classes);
  return adapted;
}

/** Throws where the caller asks for a head of a model that has but its own. */
export function refuseHead(model: string, options: ModelOptions): void {
  if (options.head === undefined) return;
  throw new UsageError('BAD_MODEL_OPTION', `--head: ${model} has its own head and no other`, 'a Hugging Face config.json takes --head');
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
  const limits = `from ${min}${range.max ? ` to ${max}` : ''}${multipleOf > 1 ? `, a multiple of ${multipleOf}` : ''}`;
  throw new UsageError(
    'BAD_MODEL_OPTION',
    `${flag}: the ${NAMES[symbol]} of ${model} is ${limits}, found ${value}`,
    `the model's own is ${range.default}; another config or spec may allow more`,
  );
}
