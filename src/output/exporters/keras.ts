/** Keras 3: Python lines, since Keras has no configuration file. */
import type { Optimizer } from '../../setup.js';
import { compact, type Exporter, missingOptimizer, tidy } from './exporter.js';

const CLASSES: Partial<Record<Optimizer, string>> = {
  sgd: 'SGD',
  momentum: 'SGD',
  nesterov: 'SGD',
  adam: 'Adam',
  adamw: 'AdamW',
  adagrad: 'Adagrad',
  rmsprop: 'RMSprop',
  adafactor: 'Adafactor',
  lion: 'Lion',
  lamb: 'Lamb',
};
const POLICIES: Record<string, string> = { 'amp-fp16': 'mixed_float16', 'amp-bf16': 'mixed_bfloat16', bf16: 'bfloat16', fp16: 'float16' };

export const exportKeras: Exporter = ({ plan, setup }) => {
  const { batch, learningRate, optimizer, warmup, schedule } = plan;
  const name = CLASSES[optimizer.name];
  const rate = tidy(learningRate.value);
  const { momentum, beta1, beta2, eps, weightDecay } = optimizer;
  const adam = ['Adam', 'AdamW', 'Lion', 'Lamb'].includes(name ?? '');
  const options = compact({
    momentum: name === 'SGD' && momentum ? momentum : null,
    nesterov: optimizer.name === 'nesterov' ? 'True' : null,
    beta_1: adam ? beta1 : null,
    beta_2: adam ? beta2 : null,
    epsilon: adam && name !== 'Lion' ? eps : null,
    weight_decay: weightDecay || null,
    global_clipnorm: setup.clipGradNorm,
    gradient_accumulation_steps: batch.accumulation > 1 ? batch.accumulation : null,
  });
  const passed = Object.entries(options).map(([key, value]) => `    ${key}=${value},`);
  const warmsUp = (warmup.steps ?? 0) > 0 && schedule.totalSteps !== null && schedule.totalSteps > warmup.steps!;
  const start = tidy(learningRate.value * warmup.fromFraction);
  const policy = POLICIES[setup.precision];
  const world = batch.micro * batch.replicas;
  const lines = [
    'import keras',
    '',
    ...(policy === undefined ? [] : [`keras.mixed_precision.set_global_policy("${policy}")`, '']),
    ...(warmsUp
      ? [
          'learning_rate = keras.optimizers.schedules.CosineDecay(',
          `    initial_learning_rate=${start}, warmup_target=${rate}, warmup_steps=${warmup.steps}, decay_steps=${schedule.totalSteps! - warmup.steps!}`,
          ')',
        ]
      : [`learning_rate = ${rate}`]),
    ...(name === undefined ? [] : [`optimizer = keras.optimizers.${name}(`, '    learning_rate=learning_rate,', ...passed, ')']),
    `BATCH_SIZE = ${world}  # ${batch.replicas > 1 ? `${batch.micro} on each of ${batch.replicas} devices` : 'one micro batch'}; an update sees ${batch.effective}`,
    `EPOCHS = ${schedule.epochs === null ? 'None  # choose' : schedule.epochs}`,
    `# dataset.shuffle(...).batch(BATCH_SIZE${schedule.dropLast ? ', drop_remainder=True' : ''}).prefetch(tf.data.AUTOTUNE)`,
  ];
  return {
    filename: 'train_settings.py',
    content: `${lines.join('\n')}\n`,
    notes: name === undefined ? [missingOptimizer('Keras', optimizer.name)] : [],
  };
};
