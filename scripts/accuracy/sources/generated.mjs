/**
 * GPUMemNet's random networks of convolutions (fp32, Adam, one A100 of 40 GB, nvidia-smi). A row's name has the generator's
 * arguments; pooling was drawn at random, and the row's count of activations tells how it fell. Residual and dense
 * networks, whose depth the generator cuts short, are left out, and so are those whose counts can't be met.
 */
import { GIB, lines } from '../read.mjs';

const MOST_FILTERS = 2048;
const ACTIVATIONS = {
  relu: ['relu'],
  leaky_relu: ['leaky_relu', 0.01],
  prelu: ['prelu'],
  elu: ['elu', 1],
  selu: ['selu'],
  gelu: ['gelu'],
  tanh: ['tanh'],
  swish: ['silu'],
  softplus: ['softplus'],
  mish: ['mish'],
};
/** How far apart two counts of activations may be: the source counts the head another way. */
const TOLERANCE = 0.01;

export function generatedRows(truth) {
  return lines(truth, 'gpumemnet_generated_cnn.jsonl.gz').flatMap((row) => {
    const network = networkOf(row);
    const [, parameters, activations] = /params (\d+); activations (\d+)/.exec(row.notes) ?? [];
    if (!network || !Number(parameters)) return [];
    const layers = layoutOf(network, Number(activations));
    if (!layers) return [];
    const fits = row.peak_mem_gb !== null;
    if (!fits && row.next_batch_ooms === null) return [];
    const asked = {
      id: `${network.architecture} of ${network.depth}, ${network.filters} filters, ${network.size} px, ${network.activation}, batch ${row.batch_per_gpu}`,
      model: { graph: graphOf(network, layers) },
      setup: { batch: row.batch_per_gpu, optimizer: 'adam', zeroGradPosition: 'before-forward', keepOutputs: true },
      device: 'a100-40gb',
      stack: { moduleLoading: 'eager' },
    };
    const call = { ...asked, group: fits ? 'did run' : 'out of memory', counter: 'call', actual: fits };
    return fits ? [call, { ...asked, group: 'memory', counter: 'deviceBytes', actual: row.peak_mem_gb * GIB }] : [call];
  });
}

function networkOf({ model }) {
  const names = 'input_channels num_classes depth arch base_filters batch input_size act dropout dropout batchnorm'.split(' ');
  const values = new RegExp(`${names.map((name) => `${name}:(.*?)`).join('_')}$`).exec(model.replace('generated:', ''));
  if (!values) return null;
  const [, channels, classes, depth, architecture, filters, , size, activation, rate, dropout, norm] = values;
  if (architecture === 'residual' || architecture === 'dense') return null;
  return {
    ...{ channels: Number(channels), classes: Number(classes), depth: Number(depth), filters: Number(filters), size: Number(size) },
    ...{ architecture, activation, rate: dropout === 'True' ? Number(rate) : null, norm: norm === 'True' },
  };
}

/** Filters of each layer, as the generator grows them. */
function widthsOf({ architecture, filters, depth }) {
  const growth = (steps) => (MOST_FILTERS / filters) ** (1 / steps);
  const grown = (factor, i) => Math.min(Math.trunc(filters * factor ** i), MOST_FILTERS);
  const half = Math.floor(depth / 2);
  return Array.from({ length: depth }, (_, i) => {
    if (architecture === 'pyramid') return grown(growth(depth), i);
    if (architecture === 'gradual') return grown(growth(2 * depth), i);
    if (architecture === 'bottleneck') return i === 0 ? 2 * filters : grown(depth <= 2 ? 2 : growth(depth - 1), i - 1);
    if (architecture !== 'hourglass') return filters;
    if (i < half) return grown(growth(half), i);
    return Math.max(Math.trunc(filters * growth(depth - half) ** (depth - i - 1)), filters);
  });
}

/** Width and pooling of each layer; null where no way to pool gives the count of activations. */
function layoutOf(network, activations) {
  const widths = widthsOf(network);
  const each = 2 + Number(network.norm) + Number(network.rate !== null);
  const poolings = Math.max(1, Math.trunc(Math.log2(Math.floor(network.size / 7))));
  for (const interval of [null, 5, Math.max(1, Math.ceil(network.depth / poolings))]) {
    let size = network.size;
    let count = 0;
    const layers = widths.map((width, i) => {
      count += width * size * size * each;
      const pools = interval !== null && i > 0 && i % interval === 0 && size > 7;
      if (pools) size = Math.floor(size / 2);
      if (pools) count += width * size * size;
      return { width, pools };
    });
    if (Math.abs(count - activations) <= Math.max(TOLERANCE * activations, 5000)) return layers;
  }
  return null;
}

function graphOf(network, layers) {
  const graph = {
    ...{ format: 'batchfit-graph@1', name: 'generated', source: { format: 'torch-export', reference: 'generated' } },
    ...{ symbols: {}, parameters: [], buffers: [], nodes: [], checkpoints: [] },
  };
  const weight = (name, shape) => {
    graph.parameters.push({ name, shape });
    return `%${name}`;
  };
  let at = '%x';
  const call = (op, args, module) => {
    const name = `n${graph.nodes.length}`;
    graph.nodes.push({ op: `aten.${op}`, args: [at, ...args], outputs: [name], module });
    at = `%${name}`;
  };
  let channels = network.channels;
  layers.forEach(({ width, pools }, i) => {
    const path = `blocks.${i}`;
    call('conv2d', [weight(`${path}.0.weight`, [width, channels, 3, 3]), weight(`${path}.0.bias`, [width]), [1, 1], [1, 1]], `${path}.0`);
    if (network.norm) {
      const affine = ['weight', 'bias'].map((name) => weight(`${path}.1.${name}`, [width]));
      const running = ['running_mean', 'running_var'].map((name) => {
        graph.buffers.push({ name: `${path}.1.${name}`, shape: [width], dtype: 'model' });
        return `%${path}.1.${name}`;
      });
      call('batch_norm', [...affine, ...running, true, 0.1, 1e-5, true], `${path}.1`);
    }
    const [activation, ...options] = ACTIVATIONS[network.activation];
    call(activation, activation === 'prelu' ? [weight(`${path}.2.weight`, [1])] : options, `${path}.2`);
    if (network.rate !== null) call('dropout', [network.rate, true], `${path}.3`);
    if (pools)
      call(
        'max_pool2d',
        [
          [2, 2],
          [2, 2],
        ],
        `pools.${i}`,
      );
    channels = width;
  });
  call('adaptive_avg_pool2d', [[1, 1]], 'global_avg_pool');
  call('flatten.using_ints', [1], '');
  call('linear', [weight('fc.weight', [network.classes, channels]), weight('fc.bias', [network.classes])], 'fc');
  call('softmax.int', [1], 'final_activation');
  const outputs = [at.slice(1)];
  call('cross_entropy_loss', ['%labels'], '');
  const image = { name: 'x', shape: ['B', network.channels, network.size, network.size], dtype: 'model', role: 'data' };
  return { ...graph, inputs: [image, { name: 'labels', shape: ['B'], dtype: 'int64', role: 'target' }], loss: at.slice(1), outputs };
}
