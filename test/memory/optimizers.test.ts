import { describe, expect, it } from 'vitest';
import { optimizerStep, withOptimizerDefault } from '../../src/memory/optimizers.js';
import { DEFAULT_SETUP, type Optimizer } from '../../src/setup.js';

const weights = [
  { shape: [1024, 4096], bytes: 4 * 1024 * 4096, hidden: true },
  { shape: [4096], bytes: 4 * 4096, hidden: true },
  { shape: [100], bytes: 400, hidden: true },
];
const stateBytes = (optimizer: Optimizer): number => optimizerStep(optimizer, 'single', weights).states.reduce((a, b) => a + b, 0);

describe('optimizer state', () => {
  it('is one byte an element twice and a maximum a block for AdamW in 8 bits, float32 below 4096 elements', () => {
    expect(stateBytes('adamw-8bit')).toBe(2 * 1024 + 2 * (1024 * 4096 + 4 * 16384) + 2 * (4096 + 4 * 16) + 2 * 400);
  });

  it('is a row and a column for Adafactor', () => {
    expect(stateBytes('adafactor')).toBe(4 * (1024 + 4096) + 4 * 4096 + 400);
  });

  it('is one moment for Lion and LARS, two for LAMB', () => {
    const once = weights.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(stateBytes('lion')).toBe(once);
    expect(stateBytes('lars')).toBe(once);
    expect(stateBytes('lamb')).toBe(2 * once);
  });

  it('is one moment for the hidden matrices under Muon and two for everything else', () => {
    expect(stateBytes('muon')).toBe(4 * 1024 * 4096 + 2 * (4 * 4096 + 400));
    const outer = weights.map((weight) => ({ ...weight, hidden: false }));
    expect(optimizerStep('muon', 'single', outer).states).toHaveLength(6);
  });
});

describe('an optimizer step', () => {
  it('drops all that it makes', () => {
    for (const optimizer of ['adam', 'adafactor', 'lion', 'lamb', 'lars', 'muon', 'adamw-8bit', 'nesterov'] as const) {
      for (const implementation of ['single', 'foreach'] as const) {
        const { events, sizes } = optimizerStep(optimizer, implementation, weights).scratch;
        const born = events.filter((event) => event >= 0).length;
        expect(born, optimizer).toBe(sizes.length);
        expect(events.length, optimizer).toBe(2 * born);
      }
    }
  });

  it('loops over single tensors by default where the optimizer has it so', () => {
    expect(withOptimizerDefault({ ...DEFAULT_SETUP, optimizer: 'adafactor' }).optimizerImplementation).toBe('single');
    expect(withOptimizerDefault({ ...DEFAULT_SETUP, optimizer: 'adamw' }).optimizerImplementation).toBe('default');
    expect(withOptimizerDefault({ ...DEFAULT_SETUP, optimizer: 'lion', optimizerImplementation: 'foreach' }).optimizerImplementation).toBe(
      'foreach',
    );
  });
});
