import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { listModelProfiles, readModel } from '../../src/model/open.js';
import { type Attention, DEFAULT_SETUP } from '../../src/setup.js';
import { type Kernel, traceStep } from '../../src/trace/index.js';

/** Made by flops.py: what torch.utils.flop_counter counts on the meta device. */
interface Counted {
  torch: string;
  batch: number;
  length: number;
  models: Record<string, Record<'eager' | 'sdpa', Record<string, number>>>;
}
const counted: Counted = JSON.parse(readFileSync(new URL('fixtures/flops.json', import.meta.url), 'utf8'));

async function kernelsOf(name: string, attention: Attention): Promise<readonly Kernel[]> {
  const isText = 'sdpa' in (counted.models[name] as object);
  const model = await readModel(name, { attention, ...(isText ? { seq: counted.length } : {}) });
  const setup = { ...DEFAULT_SETUP, batch: counted.batch, attention };
  return traceStep(model, setup, { capability: 80, outOfPlaceSums: false, accumulating: false, logsKernels: true }).kernelLog!;
}

/**
 * PyTorch's formula for the weight gradient of a convolution leaves its groups out (flop_counter.py says so: "some details
 * involving transpose of the batch/channel dimensions and groups, but I skip those"), so a depthwise one counts once a channel.
 */
const asCounted = ({ flops, product, convolution }: Kernel): number =>
  convolution?.part === 'weight-gradient' ? flops * product!.groups : flops;

const total = (kernels: readonly Kernel[], of: (kernel: Kernel) => number): number => kernels.reduce((sum, k) => sum + k.times * of(k), 0);

it('has a count for every profile', async () => {
  expect(Object.keys(counted.models).sort()).toEqual((await listModelProfiles()).map(({ name }) => name).sort());
});

it.each(Object.keys(counted.models))('%s: operations are those that PyTorch counts', async (name) => {
  const kernels = await kernelsOf(name, 'math');
  expect(total(kernels, asCounted)).toBe(counted.models[name]!.eager.total);
});

it('counts a grouped convolution once a group', async () => {
  const kernels = await kernelsOf('mobilenet_v2', 'math');
  const depthwise = kernels.filter((k) => k.convolution && k.product!.groups > 1);
  const of = (part: string): number =>
    total(
      depthwise.filter((k) => k.convolution!.part === part),
      (k) => k.flops,
    );
  expect(of('weight-gradient')).toBe(of('forward'));
  expect(of('input-gradient')).toBe(of('forward'));
});

it('a fused attention makes its scores again in backward: two more products than written out', async () => {
  const [fused, math] = [await kernelsOf('gpt2', 'auto'), await kernelsOf('gpt2', 'math')];
  const attention = fused.filter((k) => k.kind === 'attention');
  expect(total(attention, () => 1)).toBe(24);
  // 12 layers, 2 samples, 12 heads, 128 x 128 scores of 64 elements, one product: 2 operations each
  const product = 12 * 2 * 12 * 128 * 128 * 64 * 2;
  expect(total(attention, (k) => k.flops)).toBe(7 * product);
  expect(total(fused, asCounted) - total(math, asCounted)).toBe(product);
  expect(attention.every((k) => k.causal)).toBe(true);
});
