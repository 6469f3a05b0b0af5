/** timm models: device memory on an A100 of 40 GB, and the largest batch of a ladder on an RTX 3090. */
import { GIB, lines } from '../read.mjs';

/** Both ran on CUDA 11 stacks that load all kernels at once, and let cuDNN pick by speed. */
const EAGER = { moduleLoading: 'eager', cudnnBenchmark: true };

/**
 * Whole-device readings of training runs. The source states neither precision, optimizer nor stack: fp32 and one optimizer
 * state follow from how readings grow with batch and parameters, and cudnn.benchmark is said to be on.
 */
export function a100Rows(truth) {
  return lines(truth, 'gpumemnet_timm_a100.jsonl.gz').flatMap((row) =>
    row.peak_mem_gb === null
      ? []
      : [
          {
            id: `${row.model} batch ${row.batch_per_gpu}`,
            model: { reference: `timm:${row.model}` },
            setup: { batch: row.batch_per_gpu, optimizer: 'momentum', zeroGradPosition: 'before-forward' },
            device: 'a100-40gb',
            stack: EAGER,
            counter: 'deviceBytes',
            actual: row.peak_mem_gb * GIB,
          },
        ],
  );
}

/**
 * timm's benchmark (torch 1.10 to 1.12, autocast to float16): SGD with Nesterov momentum, one tensor at a time, gradients
 * set to zero before the backward pass, attention written out as timm had it then.
 */
export function rtx3090Rows(truth) {
  return lines(truth, 'timm_train_rtx3090.jsonl.gz').flatMap((row) => {
    if (row.notes.includes('SUSPECT')) return [];
    const channelsLast = row.notes.includes('layout nhwc');
    const release = /torch [\d.]+/.exec(row.notes)?.[0] ?? '';
    const asked = {
      id: `${row.model} ${row.input} px ${channelsLast ? 'NHWC' : 'NCHW'} ${release}`,
      model: { reference: `timm:${row.model}`, options: { image: [row.input, row.input], attention: 'math' } },
      setup: {
        precision: 'amp-fp16',
        optimizer: 'nesterov',
        optimizerImplementation: 'single',
        zeroGrad: 'to-zero',
        zeroGradPosition: 'before-forward',
        attention: 'math',
        channelsLast,
      },
      device: 'rtx-3090',
      stack: { ...EAGER, release: release.replace('torch ', '').split('.').map(Number) },
      counter: 'bracket',
      actual: { fits: row.max_batch_fits, fails: row.next_batch_ooms },
    };
    return [asked, { ...asked, group: release === 'torch 1.10' ? release : 'torch 1.11, 1.12' }];
  });
}
