import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Simulator } from '../../src/memory/simulator.js';
import { traceStep } from '../../src/memory/step.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { DEFAULT_SETUP } from '../../src/setup.js';

/** Small modules exported by torch.export, and the peak of a steady step that PyTorch's own dispatcher and allocator had. */
interface Row {
  name: string;
  batch: number;
  peakBytes: number | null;
  peakAt: string | null;
  graph: ModelGraph;
}
const rows = JSON.parse(readFileSync(new URL('./fixtures/operators.json', import.meta.url), 'utf8')) as Row[];
const graphOf = (name: string): ModelGraph => (rows.find((row) => row.name === name) as Row).graph;
const options = { capability: 80, outOfPlaceSums: true };

describe('operators that few models use', () => {
  it.each(rows.filter((row) => row.peakBytes !== null).map((row) => [row.name, row] as const))('%s takes what PyTorch takes', (_, row) => {
    const setup = {
      ...DEFAULT_SETUP,
      batch: row.batch,
      optimizerImplementation: 'foreach' as const,
      zeroGradPosition: 'after-step' as const,
    };
    const simulator = new Simulator(row.graph, setup, options);
    // Exactly here, not on the line through two smaller batches: one of them compares all samples with all.
    simulator.trace(row.batch);
    const peak = simulator.tensorPeak(row.batch);
    expect(Math.abs(peak.bytes / (row.peakBytes as number) - 1)).toBeLessThan(0.005);
    expect(peak.at).toBe(row.peakAt);
  });

  it.each(['lstm', 'gru', 'rnn'])('%s trains all its weights, also in mixed precision', (name) => {
    for (const precision of ['fp32', 'amp-fp16'] as const) {
      const trace = traceStep(graphOf(name), { ...DEFAULT_SETUP, batch: 4, precision }, { ...options, accumulating: false });
      expect(trace.trained).toHaveLength(graphOf(name).parameters.length);
      expect(trace.kernels.get('recurrent layer')).toBe(1);
    }
  });

  it('keeps of a recurrent layer what its steps leave for backward', () => {
    const kept = (name: string): number => {
      const trace = traceStep(graphOf(name), { ...DEFAULT_SETUP, batch: 4 }, { ...options, accumulating: false });
      return Math.max(...trace.bytes.filter((_, id) => trace.categories[id] === 'activations'));
    };
    // Two layers of 128 over 50 steps of 4 samples: five values a unit and direction for an LSTM, four for a GRU.
    expect(kept('lstm')).toBe(5 * 50 * 4 * 128 * 2 * 2 * 4);
    expect(kept('gru')).toBe(4 * 50 * 4 * 128 * 2 * 4);
  });

  it.each(['kl', 'cossim'])('%s has a rule', (name) => {
    expect(() => traceStep(graphOf(name), { ...DEFAULT_SETUP, batch: 8 }, { ...options, accumulating: false })).not.toThrow();
  });
});
