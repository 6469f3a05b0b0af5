import { describe, expect, it } from 'vitest';
import { assumptionsOf } from '../../src/memory/assumptions.js';
import { traceStep } from '../../src/memory/step.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { DEFAULT_SETUP } from '../../src/setup.js';

const model: ModelGraph = {
  format: 'batchfit-graph@1',
  name: 'odd',
  source: { format: 'spec', reference: 'odd' },
  symbols: {},
  parameters: [{ name: 'fc.weight', shape: [256, 1024] }],
  buffers: [],
  inputs: [{ name: 'x', shape: ['B', 1024], dtype: 'model', role: 'data' }],
  nodes: [
    { op: 'aten.linear', args: ['%x', '%fc.weight'], outputs: ['y'], module: 'fc' },
    { op: 'aten.matrix_exp_of_something', args: ['%y'], outputs: ['z'], module: '' },
    { op: 'aten.mean', args: ['%z'], outputs: ['loss'], module: '' },
  ],
  loss: '%loss',
  outputs: ['%z'],
  checkpoints: [],
};
const options = { capability: 80, outOfPlaceSums: false, accumulating: false };
const kept = (trace: ReturnType<typeof traceStep>): number => {
  const live = new Set<number>();
  for (const event of trace.forward) event >= 0 ? live.add(event) : live.delete(-1 - event);
  return [...live].reduce((sum, id) => sum + (trace.bytes[id] as number), 0);
};

describe('an operator without a rule', () => {
  it('is named and refused', () => {
    expect(() => traceStep(model, DEFAULT_SETUP, options)).toThrow(/odd: no memory rule for aten.matrix_exp_of_something/);
  });

  it('is bounded with --generic: what goes in and comes out is kept', () => {
    const setup = { ...DEFAULT_SETUP, batch: 8, generic: true };
    expect(kept(traceStep(model, setup, options))).toBe(2 * 8 * 256 * 4 + 4);
    const [warning] = assumptionsOf(model, setup);
    expect(warning?.code).toBe('ASSUMED_OPERATORS');
    expect(warning?.message).toContain('aten.matrix_exp_of_something');
  });

  it('is no reason for an error without a name where its shape does not fit what follows', () => {
    const nodes = [...model.nodes.slice(0, 2), { op: 'aten.split', args: ['%z', [1, 2]], outputs: ['', 'a'], module: '' }];
    const broken = { ...model, nodes: [...nodes, { op: 'aten.bmm', args: ['%a', '%a'], outputs: ['loss'], module: '' }] };
    expect(() => traceStep(broken, { ...DEFAULT_SETUP, batch: 8, generic: true }, options)).toThrow(/only a rule could tell/);
  });
});

describe('what an estimate assumes', () => {
  it('is nothing where every part was checked', () => {
    expect(assumptionsOf({ ...model, nodes: model.nodes.filter(({ op }) => !op.includes('exp')) }, DEFAULT_SETUP)).toEqual([]);
  });

  it('is told for 8-bit states', () => {
    expect(assumptionsOf(model, { ...DEFAULT_SETUP, optimizer: 'adamw-8bit' }).map(({ code }) => code)).toEqual(['ASSUMED_OPTIMIZER']);
  });
});

describe('several devices', () => {
  it('are told for what they divide: layers, or states', () => {
    const codes = (setup: object): string[] => assumptionsOf(model, { ...DEFAULT_SETUP, ...setup }).map(({ code }) => code);
    expect(codes({ gpus: 2, tensorParallel: 2 })).toEqual(['ASSUMED_TENSOR_PARALLEL']);
    expect(codes({ gpus: 4, tensorParallel: 2 })).toEqual(['ASSUMED_TENSOR_PARALLEL', 'ASSUMED_SHARDING']);
    expect(codes({ gpus: 2 })).toEqual(['ASSUMED_SHARDING']);
  });
});

describe('a moving average of the weights', () => {
  it('is one more copy of weights and buffers', () => {
    const plain = { ...DEFAULT_SETUP, batch: 8, generic: true };
    const of = (setup: typeof plain): number => {
      const trace = traceStep(model, setup, options);
      return trace.bytes.slice(0, trace.permanent).reduce((a, b) => a + b, 0);
    };
    expect(of({ ...plain, ema: true })).toBe(2 * of(plain));
  });
});
