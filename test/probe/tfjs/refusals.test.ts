/** What the engine cannot do is refused before any step runs, and named. */
import { describe, expect, it } from 'vitest';
import type { GraphNode, ModelGraph } from '../../../src/model/graph.js';
import { prepareProgram } from '../../../src/probe/engines/tfjs/program.js';
import { ignoredChoices, whyUnsupported } from '../../../src/probe/engines/tfjs/support.js';
import { DEFAULT_SETUP, type Setup } from '../../../src/setup.js';
import { convolutions } from './graphs.js';

const node = (op: string, args: GraphNode['args'], output: string): GraphNode => ({ op, args, outputs: [output], module: '' });
const withNodes = (...nodes: GraphNode[]): ModelGraph => ({ ...convolutions, nodes, loss: nodes.at(-1)!.outputs[0]! });

describe('a graph', () => {
  it('with operators that are not there is refused by their names', () => {
    const graph = withNodes(node('aten.fft_rfft2', ['%x'], 'a'), node('aten.linalg_qr', ['%a'], 'b'), node('aten.sum', ['%b'], 'c'));
    expect(() => prepareProgram(graph)).toThrow('the tfjs engine has no aten.fft_rfft2, aten.linalg_qr');
  });

  it('with operators of another library is refused', () => {
    expect(() => prepareProgram(withNodes(node('torchvision.nms', ['%x'], 'a')))).toThrow('torchvision.nms');
  });

  it('that writes through a view which is read later is refused', () => {
    const graph = withNodes(
      node('aten.sigmoid', ['%x'], 'a'),
      node('aten.view', ['%a', [-1]], 'flat'),
      node('aten.mul_.Tensor', ['%a', 2], 'b'),
      node('aten.sum', ['%flat'], 'c'),
    );
    expect(() => prepareProgram(graph)).toThrow('"flat" is a view of');
  });

  it('that writes to a tensor whose views are done with is not', () => {
    const graph = withNodes(
      node('aten.sigmoid', ['%x'], 'a'),
      node('aten.view', ['%a', [-1]], 'flat'),
      node('aten.sum', ['%flat'], 'c'),
      node('aten.relu_', ['%a'], 'b'),
      node('aten.add.Tensor', ['%b', '%c'], 'd'),
    );
    expect(prepareProgram(graph).steps).toHaveLength(5);
  });
});

describe('a setup', () => {
  const refused: [Partial<Setup>, string][] = [
    [{ precision: 'amp-fp16' }, 'TensorFlow.js computes in float32, not in amp-fp16'],
    [{ precision: 'tf32' }, 'TF32 is a mode of NVIDIA GPUs'],
    [{ checkpointing: 'full' }, 'no checkpointing "full"'],
    [{ method: 'lora' }, 'not with method "lora"'],
    [{ attention: 'flash' }, 'no flash attention kernel'],
    [{ gpus: 2 }, 'one device'],
  ];
  it.each(refused)('with %o is refused', (change, reason) => {
    expect(whyUnsupported({ ...DEFAULT_SETUP, ...change }, 'cpu')).toContain(reason);
  });

  it('of defaults is not', () => {
    expect(whyUnsupported(DEFAULT_SETUP, 'cpu')).toBeNull();
    expect(ignoredChoices(DEFAULT_SETUP)).toEqual([]);
  });

  it('with choices that TensorFlow.js has no notion of is warned about', () => {
    const warnings = ignoredChoices({ ...DEFAULT_SETUP, zeroGrad: 'to-zero', optimizerImplementation: 'fused' });
    expect(warnings.map(({ message }) => message)).toEqual([
      'TensorFlow.js has no counterpart of --optimizer-impl fused',
      'TensorFlow.js has no counterpart of --zero-grad to-zero',
    ]);
  });
});
