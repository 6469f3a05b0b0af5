import { afterEach, describe, expect, it } from 'vitest';
import { Interrupted, watchInterruptions } from '../../src/output/interruption.js';

describe('watchInterruptions', () => {
  const before = process.listeners('SIGTERM');
  afterEach(() => {
    process.exitCode = undefined;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      for (const listener of process.listeners(signal)) if (!before.includes(listener)) process.off(signal, listener);
    }
  });

  it('asks whoever listens to stop, with the exit code set', () => {
    const signal = watchInterruptions(
      () => true,
      () => expect.unreachable('nobody has to be told'),
    );
    expect(signal.aborted).toBe(false);
    process.emit('SIGTERM');
    expect(signal.reason).toBeInstanceOf(Interrupted);
    expect(signal.reason.message).toBe('interrupted by SIGTERM');
    expect(process.exitCode).toBe(143);
  });
});
