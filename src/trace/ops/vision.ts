/** torchvision's own operators (torchvision/csrc/ops): pooling of regions. */
import { define, type Rule } from '../registry.js';
import { number, tensor } from './arguments.js';
import { castTo, contiguous } from './core.js';

/**
 * roi_align(input, rois, spatial_scale, pooled_height, pooled_width, ...): keeps the regions and no feature; its
 * backward adds into zeros of the feature map's size (autograd/roi_align_kernel.cpp, cuda/roi_align_kernel.cu). Under
 * autocast it runs in float32 and casts back (autocast/roi_align_kernel.cpp).
 */
const roiAlign: Rule = (s, args) => {
  const given = tensor(args[0]);
  const autocast = s.autocastType !== null;
  const x = autocast ? castTo(s, given, 'float32') : given;
  const rois = autocast ? castTo(s, tensor(args[1]), 'float32') : tensor(args[1]);
  s.withoutGradients(() => contiguous(s, x));
  const out = s.empty([rois.size(0), x.size(1), number(args[3]), number(args[4])], x.type);
  s.record('roi_align', [x], [out], [rois], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return autocast ? castTo(s, out, given.type) : out;
};

define({ 'torchvision.roi_align': roiAlign });
