/**
 * MMSegmentation's FCN, PSPNet, DeepLabV3 and DeepLabV3+ on dilated ResNets, written out as its configs have them: four V100,
 * SyncBN that trains, an auxiliary head, cross entropy over logits of the labels' size; max_memory_allocated. Left out:
 * what the accuracy of a step takes for a moment, and the few integers that the devices exchange for SyncBN.
 */
import { Network } from '../network.mjs';
import { GIB, lines } from '../read.mjs';

const DEPTHS = { 18: [2, 2, 2, 2], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3] };
const CLASSES = { cityscapes: 19, ade20k: 150, voc12aug: 21, 'pascal-context': 60, loveda: 7, potsdam: 6, vaihingen: 6, isaid: 16 };
Object.assign(CLASSES, { 'coco-stuff10k': 171, 'coco-stuff164k': 171 });
const HEADS = { fcn: fcnHead, pspnet: pspHead, deeplabv3: asppHead, deeplabv3plus: separableHead };

export function segmentationRows(truth) {
  return lines(truth, 'mmsegmentation_v1.jsonl.gz').flatMap((row) => {
    const found = /^(fcn|pspnet|deeplabv3|deeplabv3plus)_r(18|50|101)(b?)-d8_4xb\d+-\d+k_([a-z0-9-]+)-(\d+)x(\d+)$/.exec(row.model);
    if (!found || row.precision !== 'fp32' || !CLASSES[found[4]]) return [];
    const [, head, depth, plainStem, data, height, width] = found;
    const model = { head, depth: Number(depth), plainStem: plainStem === 'b', classes: CLASSES[data], size: [height, width].map(Number) };
    return [
      {
        id: row.model,
        model: { graph: graphOf(model) },
        // mmcv of that time: gradients become zeros before backward, and PyTorch's SGD went weight by weight.
        setup: {
          ...{ batch: row.batch_per_gpu, optimizer: 'momentum', optimizerImplementation: 'single', gpus: row.n_gpus },
          ...{ zeroGrad: 'to-zero', zeroGradPosition: 'before-backward' },
        },
        // configs/_base_/default_runtime.py; PyTorch 1.5 to 1.8.
        stack: { cudnnBenchmark: true, release: [1, 5] },
        device: 'v100-32gb',
        counter: 'allocatedBytes',
        actual: row.peak_mem_gb * GIB,
      },
    ];
  });
}

function graphOf({ head, depth, plainStem, classes, size }) {
  const net = new Network(`${head}_r${depth}`, size);
  const labels = net.labels(classes);
  const stages = body(net, net.image(), depth, plainStem);
  const wide = depth === 18 ? 128 : 512;
  const decoded = HEADS[head](net, stages, wide, 'decode_head');
  const losses = [lossOf(net, decoded, classes, labels, 'decode_head')];
  const auxiliary = net.unit(stages[2], wide / 2, 3, 'auxiliary_head.convs.0');
  return net.finish([...losses, lossOf(net, auxiliary, classes, labels, 'auxiliary_head')]);
}

/** ResNetV1c, with three small convolutions for its stem, or plain ResNet: strides 1, 2, 1, 1 and dilations 1, 1, 2, 4. */
function body(net, image, depth, plainStem) {
  let x = image;
  if (plainStem) x = net.relu(net.norm(net.conv(x, 64, 7, 'backbone.conv1', { stride: 2 }), 'backbone.bn1'), 'backbone');
  else for (const [i, channels] of [32, 32, 64].entries()) x = net.unit(x, channels, 3, `backbone.stem.${i}`, { stride: i === 0 ? 2 : 1 });
  const size = x.size.map((side) => Math.floor((side - 1) / 2) + 1);
  x = net.call('max_pool2d', [x, [3, 3], [2, 2], [1, 1]], 'backbone.maxpool', { channels: 64, size });
  return DEPTHS[depth].map((blocks, stage) => {
    for (let i = 0; i < blocks; i++) {
      const stride = stage === 1 && i === 0 ? 2 : 1;
      // The first block of a dilated stage has half of its dilation.
      const dilation = Math.max(1, [1, 1, 2, 4][stage] / (i === 0 ? 2 : 1));
      x = block(net, x, 64 * 2 ** stage, `backbone.layer${stage + 1}.${i}`, { stride, dilation, small: depth === 18 });
    }
    return x;
  });
}

function block(net, x, width, path, { stride, dilation, small }) {
  const channels = small ? width : 4 * width;
  const first = small ? net.unit(x, width, 3, `${path}.1`, { stride, dilation }) : net.unit(x, width, 1, `${path}.1`);
  const second = small ? first : net.unit(first, width, 3, `${path}.2`, { stride, dilation });
  const last = net.norm(net.conv(second, channels, small ? 3 : 1, `${path}.conv3`), `${path}.bn3`);
  const shortcut =
    x.channels === channels && stride === 1
      ? x
      : net.norm(net.conv(x, channels, 1, `${path}.downsample.0`, { stride }), `${path}.downsample.1`);
  return net.relu(net.call('add_.Tensor', [last, shortcut], path, last), path);
}

function lossOf(net, x, classes, labels, path) {
  const dropped = net.call('feature_dropout', [x, 0.1, true], `${path}.dropout`, x);
  const logits = net.conv(dropped, classes, 1, `${path}.conv_seg`, { bias: true });
  const resized = net.resize(logits, net.size, path);
  return net.call('cross_entropy_loss', [resized, labels], path);
}

function fcnHead(net, stages, wide, path) {
  const x = stages[3];
  const last = net.unit(net.unit(x, wide, 3, `${path}.convs.0`), wide, 3, `${path}.convs.1`);
  return net.unit(net.cat([x, last], path), wide, 3, `${path}.conv_cat`);
}

function pooled(net, x, side, wide, path) {
  const small = net.call('adaptive_avg_pool2d', [x, [side, side]], path, { channels: x.channels, size: [side, side] });
  return net.resize(net.unit(small, wide, 1, path), x.size, path);
}

function pspHead(net, stages, wide, path) {
  const x = stages[3];
  const parts = [1, 2, 3, 6].map((side, i) => pooled(net, x, side, wide, `${path}.psp_modules.${i}`));
  return net.unit(net.cat([x, ...parts], path), wide, 3, `${path}.bottleneck`);
}

function asppHead(net, stages, wide, path, branch = net.unit.bind(net)) {
  const x = stages[3];
  const parts = [pooled(net, x, 1, wide, `${path}.image_pool`)];
  for (const dilation of [1, 12, 24, 36]) {
    const name = `${path}.aspp_modules.${dilation}`;
    parts.push(dilation === 1 ? net.unit(x, wide, 1, name) : branch(x, wide, 3, name, { dilation }));
  }
  return net.unit(net.cat(parts, path), wide, 3, `${path}.bottleneck`);
}

function separableHead(net, stages, wide, path) {
  const separable = (x, channels, kernel, name, options) =>
    net.unit(net.unit(x, x.channels, kernel, `${name}.depthwise`, { ...options, groups: x.channels }), channels, 1, `${name}.pointwise`);
  const x = asppHead(net, stages, wide, path, separable);
  const low = net.unit(stages[0], wide === 512 ? 48 : 12, 1, `${path}.c1_bottleneck`);
  const both = net.cat([net.resize(x, low.size, path), low], path);
  return separable(separable(both, wide, 3, `${path}.sep.0`), wide, 3, `${path}.sep.1`);
}
