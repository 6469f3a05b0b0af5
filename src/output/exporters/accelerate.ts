/** Accelerate: the file of `accelerate launch --config_file`, and in comments what goes into the script. */
import { stringify } from 'yaml';
import { compact, type Exporter, tidy, usesBf16, usesFp16 } from './exporter.js';

const KINDS: Record<string, string> = {
  cuda: 'MULTI_GPU',
  rocm: 'MULTI_GPU',
  xpu: 'MULTI_XPU',
  hpu: 'MULTI_HPU',
  cpu: 'MULTI_CPU',
  tpu: 'XLA',
};

export const exportAccelerate: Exporter = ({ plan, setup, device }) => {
  const { batch, learningRate, warmup } = plan;
  const sharded = setup.sharding === 'fsdp' ? 'FSDP' : setup.sharding.startsWith('zero') ? 'DEEPSPEED' : null;
  const config = compact({
    compute_environment: 'LOCAL_MACHINE',
    distributed_type: batch.replicas === 1 ? 'NO' : (sharded ?? KINDS[device.kind] ?? 'NO'),
    mixed_precision: usesBf16(setup) ? 'bf16' : usesFp16(setup) ? 'fp16' : 'no',
    num_machines: 1,
    num_processes: batch.replicas,
    machine_rank: 0,
    use_cpu: device.kind === 'cpu',
    debug: false,
    main_training_function: 'main',
  });
  const notes =
    sharded === null ? [] : [`fill in ${sharded === 'FSDP' ? 'fsdp_config' : 'deepspeed_config'}: accelerate config asks for it`];
  const script = [
    `# Accelerator(gradient_accumulation_steps=${batch.accumulation})`,
    `# DataLoader(..., batch_size=${batch.micro}, shuffle=True, num_workers=${plan.loader.workers}, drop_last=${plan.schedule.dropLast ? 'True' : 'False'})`,
    `# learning rate ${tidy(learningRate.value)}${warmup.steps === null ? '' : `, warm-up ${warmup.steps} steps`}`,
    ...(batch.replicas > 1
      ? [`# a prepared scheduler makes ${batch.replicas} steps at each update: multiply its steps by ${batch.replicas}`]
      : []),
  ];
  return { filename: 'accelerate.yaml', content: `${script.join('\n')}\n${stringify(config)}`, notes };
};
