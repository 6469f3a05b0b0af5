/** Tells the formats of model files apart, first by name and then by content, and parses their text. */
import { UsageError } from '../errors.js';

export type TextSyntax = 'json' | 'yaml';
/** `keras` is a ZIP archive, `onnx` a protocol buffer. */
export type Syntax = TextSyntax | 'keras' | 'onnx';
export type DocumentFormat = 'spec' | 'hf-config' | 'torch-export' | 'keras' | 'tfjs';

const UNSUPPORTED: Record<string, string> = {
  h5: 'a Keras HDF5 file',
  pb: 'a TensorFlow SavedModel',
  tflite: 'a TensorFlow Lite file',
  pt: 'a PyTorch checkpoint',
  pth: 'a PyTorch checkpoint',
  pt2: 'a PyTorch export archive',
  bin: 'a file of weights',
  safetensors: 'a file of weights',
  gguf: 'a file of weights',
};

/** The syntax that a file's name promises. Throws UsageError for kinds of files that are no model description we read. */
export function formatOfFile(file: string): Syntax {
  const extension = /\.([a-z0-9]+)(\.gz)?$/i.exec(file)?.[1]?.toLowerCase() ?? '';
  if (extension === 'json') return 'json';
  if (extension === 'yaml' || extension === 'yml') return 'yaml';
  if (extension === 'keras' || extension === 'onnx') return extension;
  throw unsupportedModel(file, UNSUPPORTED[extension] ?? (extension ? `a .${extension} file` : 'a file without an extension'));
}

/** What a parsed document is. Throws UsageError that names what it looks like, or what is missing. */
export function formatOfDocument(document: unknown, file: string, syntax: TextSyntax): DocumentFormat {
  if (document === null || typeof document !== 'object' || Array.isArray(document)) {
    const found = document === null ? 'nothing' : Array.isArray(document) ? 'a list' : `a ${typeof document}`;
    throw new UsageError(
      'BAD_MODEL',
      `${file}: expected a mapping of fields at the top, found ${found}`,
      'start with "name:" and "layers:", or with a config',
    );
  }
  if (syntax === 'yaml') return 'spec';
  if ('nodes' in document || String((document as { format?: unknown }).format).startsWith('batchfit-graph')) return 'torch-export';
  if ('modelTopology' in document) return 'tfjs';
  if ('class_name' in document) return 'keras';
  if ('model_type' in document || 'architectures' in document) return 'hf-config';
  if ('layers' in document) return 'spec';
  throw new UsageError(
    'BAD_MODEL',
    `${file}: the JSON has neither "model_type" (a Hugging Face config) nor "class_name" (a Keras model), "modelTopology" (a TensorFlow.js model) or "format": "batchfit-graph@1" (an exported graph)`,
    'name the config.json or model.json of a model, or write a .yaml spec',
  );
}

/** Parses text as JSON or YAML. Throws UsageError with the place of the mistake; binary content is named as such. */
export async function parseText(bytes: Buffer, file: string, syntax: TextSyntax): Promise<unknown> {
  const text = bytes.toString('utf8');
  if (text.includes('\0') || text.includes('\uFFFD')) {
    throw new UsageError(
      'BAD_MODEL',
      `${file}: binary content, expected ${syntax.toUpperCase()} text in UTF-8`,
      'name a model description, not its weights',
    );
  }
  if (syntax === 'json') return parseJson(text.replace(/^\uFEFF/, ''), file);
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { prettyErrors: true });
  const problem = document.errors[0];
  if (problem) {
    const said = problem.message.split('\n')[0]!.replace(/:$/, '');
    const what = said.startsWith('Maximum call stack') ? 'nested too deeply' : `not YAML: ${said}`;
    throw new UsageError('BAD_MODEL', `${file}: ${what}`, 'correct the line', { cause: problem });
  }
  try {
    return document.toJS();
  } catch (error) {
    throw new UsageError('BAD_MODEL', `${file}: not YAML: ${(error as Error).message}`, 'correct the aliases', { cause: error });
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError('BAD_MODEL', `${file}: not JSON: ${(error as Error).message}`, 'correct the file', { cause: error });
  }
}

/** "not supported yet", naming what the file is. */
export function unsupportedModel(file: string, what: string): UsageError {
  return new UsageError(
    'UNSUPPORTED_MODEL',
    `${file} is ${what}, which is not supported yet`,
    'describe the model in a .yaml spec, name its Hugging Face config.json, or export it: batchfit trace file.py:function -o model.graph.json',
  );
}
