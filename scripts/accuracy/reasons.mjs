/** Why rows are far off: sources, rows of theirs, and what docs/accuracy.md has found out about them. */
const KNOWN = [
  [/^op/, /adagrad/, 'its state is made with the optimizer, before the tracer looks'],
  [
    /^op/,
    /^(vit_|convnext_tiny.*checkpointing|convnext_tiny.* amp-bf16)/,
    'the tracer answers .item() with 1, a stochastic depth that the model does not have',
  ],
  [/^xmem/, /distilgpt2 batch 10/, 'its longest row may not have had 128 tokens'],
  [/^xmem/, /(MobeNetV3Small|RegNet).*rtx-4060/, 'a cuDNN workspace that the heuristics ask for at some batches alone'],
  [
    /^gpumemnet_timm/,
    /sam2_hiera|davit_huge_fl|vitamin_large/,
    'the reading does not grow with what the model holds: smaller images, or a run that ended early',
  ],
  [
    /^gpumemnet_timm/,
    /hgnetv2|legacy_seresnext|coatnet_[23]/,
    'one batch of several: cuDNN tried an algorithm with gigabytes of workspace',
  ],
  [
    /^gpumemnet_timm/,
    /^(legacy_)?resnet|^wide_resnet|^seresnet/,
    "the gradient of the first convolution, 7x7 with step 2, takes more than cuDNN's documentation explains",
  ],
  [/^gpumemnet_generated/, /./, "which algorithm cuDNN's heuristics pick is not published"],
  [/^timm_train/, /tresnet_l/, 'ran with in-place batch norm'],
  [/^timm_train/, /coat_/, "variables of timm's Python code hold tensors that no export shows"],
  [/^language/, /QLoRA/, 'the bitsandbytes of that time keeps the inputs of quantized layers'],
  [/^detection/, /keypoint/, '0.7 GiB of the keypoint heads are unexplained'],
  [/^detection/, /detectron2/, '0.2 to 0.4 GiB are unexplained'],
];

/** The mechanism of a row's error; "unexplained" where nobody found it, null for a row that is hardly off. */
export function reasonOf(source, { row, error = 0, miss }) {
  if (Math.abs(error) < 0.05 && !miss) return null;
  return KNOWN.find(([sources, rows]) => sources.test(source) && rows.test(row.id))?.[2] ?? 'unexplained';
}
