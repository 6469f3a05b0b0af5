/** Reads an ONNX file: its operators as the training program they were, as far as an export keeps it. */
import { UsageError, type Warning } from '../../../errors.js';
import { refuseHead } from '../../adapt.js';
import { GraphBuilder } from '../../builder.js';
import { setClasses } from '../../classes.js';
import type { ModelGraph, ModelSource } from '../../graph.js';
import { nearestNames } from '../../nearest.js';
import type { ModelOptions } from '../../options.js';
import { Context, type Operator } from './context.js';
import { type Document, type Node, readDocument } from './document.js';
import { declareInputs, fixedBatchOf } from './inputs.js';
import { lossOf } from './loss.js';
import { inModules } from './modules.js';
import { ELEMENTWISE_OPERATORS } from './ops/elementwise.js';
import { POOLING_OPERATORS } from './ops/pooling.js';
import { SHAPE_OPERATORS } from './ops/shapes.js';
import { WEIGHT_OPERATORS } from './ops/weights.js';
import { findPatterns } from './patterns.js';

const IDENTITY: Operator = (c, node) => {
  c.entries.set(node.outputs[0] as string, c.entry(node.inputs[0] ?? '', node));
};

const OPERATORS: Record<string, Operator> = {
  ...WEIGHT_OPERATORS,
  ...ELEMENTWISE_OPERATORS,
  ...SHAPE_OPERATORS,
  ...POOLING_OPERATORS,
  Identity: IDENTITY,
};

const TRAINED_AS_WRITTEN: Warning = {
  code: 'ASSUMED_TRAINING',
  message: 'an ONNX file is made for inference: trained as written, so dropout and batch norms that the export folded away are missing',
  hint: 'export with training=torch.onnx.TrainingMode.TRAINING and do_constant_folding=False, or name the model itself',
};

/** The training graph of a file's bytes. Throws UsageError naming the file and the node. */
export function readOnnx(bytes: Uint8Array, source: ModelSource, options: ModelOptions): ModelGraph {
  const { reference: file } = source;
  const document = parse(bytes, file);
  const name = /([^\\/]+?)\.onnx(\.gz)?$/.exec(file)?.[1] ?? document.name;
  refuseHead(name, options);
  const g = new GraphBuilder(name, { ...source, versions: [document.producer, `opset ${document.opset}`].filter(Boolean) });
  const c = new Context(g, document, file, options, fixedBatchOf(document));
  declareInputs(c, name);
  const patterns = findPatterns(c);
  inModules(g, document.nodes, (node) => {
    const pattern = patterns.get(node);
    if (pattern) pattern();
    else if (!c.taken.has(node)) operatorOf(c, node)(c, node);
  });
  const { loss, outputs, assumptions } = lossOf(c);
  const trains = document.nodes.some(({ op, attributes }) => op === 'BatchNormalization' && attributes.get('training_mode') === 1);
  const graph: ModelGraph = {
    ...g.finish(loss, outputs),
    parameters: c.inOrder(),
    buffers: c.buffers,
    assumptions: [...(trains ? [] : [TRAINED_AS_WRITTEN]), ...assumptions],
  };
  if (graph.parameters.length === 0)
    throw new UsageError('BAD_MODEL', `${file}: the graph has no weights to train`, 'export a model with its weights');
  return options.classes === undefined ? graph : setClasses(graph, options.classes);
}

function parse(bytes: Uint8Array, file: string): Document {
  try {
    const document = readDocument(bytes);
    if (document.nodes.length === 0) throw new RangeError('its graph has no operators');
    return document;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError('BAD_MODEL', `${file}: not an ONNX file, or cut short: ${error.message}`, 'export the model again', {
      cause: error,
    });
  }
}

function operatorOf(c: Context, node: Node): Operator {
  const standard = node.domain === '' || node.domain === 'ai.onnx';
  const found = (standard || node.domain === 'com.microsoft') && Object.hasOwn(OPERATORS, node.op) ? OPERATORS[node.op] : undefined;
  if (found) return found;
  const own = c.document.functions.includes(node.op)
    ? 'a function of the file itself'
    : standard
      ? 'the operator'
      : `of the domain ${node.domain}:`;
  const near = nearestNames(node.op, Object.keys(OPERATORS));
  throw c.fail(
    node,
    `${own} ${node.op} is not supported`,
    `${near.length > 0 ? `the nearest that is: ${near.join(' or ')}; ` : ''}other models: batchfit trace`,
    'UNSUPPORTED_MODEL',
  );
}
