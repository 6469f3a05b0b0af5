/** The batchfit model spec: a YAML document of layers, blocks, repeats, branches and residuals. */

import { checkRange } from '../../adapt.js';
import { GraphBuilder, type Value } from '../../builder.js';
import type { ModelGraph, ModelSource, Size } from '../../graph.js';
import { crossEntropy } from '../../ops/layers.js';
import { view } from '../../ops/views.js';
import type { ModelOptions } from '../../options.js';
import { bindSizes } from '../../sizes.js';
import { specError } from './fields.js';
import { readHeader, type SpecHeader } from './header.js';
import { fixedExtent, NeedsFixedSize, shapeText } from './layer.js';
import { runLayers } from './run.js';

/**
 * Reads a parsed spec. The image or sequence size stays a symbol, unless a weight's size depends on it (a flattened
 * image, learned positions of patches): then the graph is built for the size asked for.
 * Throws UsageError naming the file, the field, what was found and what was expected.
 */
export async function readSpec(document: unknown, source: ModelSource, options: ModelOptions): Promise<ModelGraph> {
  const file = source.reference;
  const header = readHeader(document as Record<string, unknown>, file, options);
  if (header.config) {
    const { readHuggingFaceConfig } = await import('../hf/read.js');
    return { ...(await readHuggingFaceConfig(header.config, source, options)), name: header.name };
  }
  try {
    return build(header, source, options, false);
  } catch (error) {
    if (!(error instanceof NeedsFixedSize)) throw error;
    return build(header, source, options, true);
  }
}

function build(header: SpecHeader, source: ModelSource, options: ModelOptions, fixed: boolean): ModelGraph {
  const g = new GraphBuilder(header.name, source);
  const place = { file: source.reference, path: 'layers', scope: {} };
  const data = declareInput(g, header, options, fixed);
  const tokens = header.tokens ?? null;
  const program = {
    g,
    file: source.reference,
    blocks: header.blocks,
    defaults: header.defaults,
    tokens,
    sizeOf: bindSizes({ B: 1, S: header.length, ...(header.image ? { H: header.image[1], W: header.image[2] } : {}) }),
    limitLength: (longest: number) => {
      const range = { default: header.length, max: longest };
      checkRange(header.name, 'S', range, header.length, '--seq');
      g.symbol('S', range);
    },
  };
  const scope = { classes: header.classes, ...(tokens ? { vocabulary: tokens.vocabulary } : {}) };
  const output = runLayers(program, header.layers, data, 'layers', scope);
  const loss = header.loss === 'mse' ? meanSquares(g, output) : classify(g, output, place);
  return g.finish(loss, [output]);
}

function declareInput(g: GraphBuilder, header: SpecHeader, _options: ModelOptions, fixed: boolean): Value {
  if (header.image) {
    const [channels, height, width] = header.image;
    const extents: Size[] = fixed ? [height, width] : [g.symbol('H', { default: height }), g.symbol('W', { default: width })];
    return g.input('image', ['B', channels, ...extents], 'model', 'data');
  }
  if (header.tokens) {
    const length = fixed ? header.length : g.symbol('S', { default: header.length });
    return g.input('tokens', ['B', length], 'int64', 'data', header.tokens.vocabulary);
  }
  return g.input('features', ['B', header.features ?? 1], 'model', 'data');
}

/** Cross entropy: [B, classes], each token of [B, S, classes], or each pixel of [B, classes, H, W]. */
function classify(g: GraphBuilder, output: Value, place: { file: string; path: string; scope: Record<string, never> }): Value {
  const [batch, second] = output.shape as [Size, Size];
  if (output.shape.length === 3) {
    const classes = fixedExtent(output.shape[2], place);
    const labels = g.input('labels', [batch, second], 'int64', 'target', classes);
    return crossEntropy(g, view(g, output, [-1, classes]), view(g, labels, [-1]));
  }
  if (output.shape.length !== 2 && output.shape.length !== 4) {
    throw specError(
      place,
      `a cross entropy needs [B, classes], found ${shapeText(output.shape)}`,
      'end in "linear: classes", or set "loss: mse"',
    );
  }
  const classes = fixedExtent(second, place);
  return crossEntropy(g, output, g.input('labels', [batch, ...output.shape.slice(2)], 'int64', 'target', classes));
}

function meanSquares(g: GraphBuilder, output: Value): Value {
  const target = g.input('target', [...output.shape], 'model', 'target');
  return g.call('aten.mse_loss', [output, target], { shape: [], dtype: output.dtype });
}
