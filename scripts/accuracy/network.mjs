/** Writes graphs of convolutional networks that no constructor makes: channels are kept with each value, image sizes are fixed. */

export class Network {
  constructor(name, [height, width]) {
    this.size = [height, width];
    this.graph = {
      ...{ format: 'batchfit-graph@1', name, source: { format: 'torch-export', reference: name } },
      ...{ symbols: {}, parameters: [], buffers: [], inputs: [], nodes: [], outputs: [], checkpoints: [] },
    };
  }

  image() {
    this.graph.inputs.push({ name: 'x', shape: ['B', 3, ...this.size], dtype: 'model', role: 'data' });
    return { name: '%x', channels: 3, size: this.size };
  }

  labels(classes) {
    this.graph.inputs.push({ name: 'labels', shape: ['B', ...this.size], dtype: 'int64', role: 'target', high: classes });
    return '%labels';
  }

  call(op, args, module, { channels, size } = {}) {
    const name = `n${this.graph.nodes.length}`;
    this.graph.nodes.push({ op: `aten.${op}`, args: args.map((arg) => arg?.name ?? arg), outputs: [name], module });
    return { name: `%${name}`, channels, size };
  }

  weight(name, shape) {
    this.graph.parameters.push({ name, shape });
    return `%${name}`;
  }

  conv(x, channels, kernel, path, { stride = 1, dilation = 1, groups = 1, bias = false } = {}) {
    const padding = dilation * Math.floor(kernel / 2);
    const weights = [this.weight(`${path}.weight`, [channels, x.channels / groups, kernel, kernel])];
    weights.push(bias ? this.weight(`${path}.bias`, [channels]) : null);
    const size = x.size.map((side) => Math.floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1);
    const pairs = [stride, padding, dilation].map((each) => [each, each]);
    return this.call('conv2d', [x, ...weights, ...pairs, groups], path, { channels, size });
  }

  norm(x, path) {
    const affine = ['weight', 'bias'].map((name) => this.weight(`${path}.${name}`, [x.channels]));
    const running = ['running_mean', 'running_var'].map((name) => {
      this.graph.buffers.push({ name: `${path}.${name}`, shape: [x.channels], dtype: 'model' });
      return `%${path}.${name}`;
    });
    return this.call('batch_norm', [x, ...affine, ...running, true, 0.1, 1e-5, true], path, x);
  }

  relu(x, path) {
    return this.call('relu_', [x], path, x);
  }

  /** Convolution, batch norm and ReLU in place. */
  unit(x, channels, kernel, path, options) {
    return this.relu(this.norm(this.conv(x, channels, kernel, `${path}.conv`, options), `${path}.bn`), `${path}.activate`);
  }

  resize(x, size, path) {
    return this.call('upsample_bilinear2d.vec', [x, size, false, null], path, { channels: x.channels, size });
  }

  cat(parts, path) {
    const channels = parts.reduce((sum, part) => sum + part.channels, 0);
    return this.call('cat', [parts.map(({ name }) => name), 1], path, { channels, size: parts[0].size });
  }

  finish(losses) {
    const [first, ...others] = losses;
    this.graph.loss = others.reduce((sum, loss) => this.call('add.Tensor', [sum, loss], ''), first).name.slice(1);
    return this.graph;
  }
}
