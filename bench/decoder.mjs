/**
 * What a 7B decoder costs (LLaMA 7B, 2048 tokens, bf16): CPU time of one estimate and of a sweep of 200 batches within a
 * process, the first and the mean of the later half of many, when V8 has compiled what runs; and a whole `batchfit compare`
 * of twelve devices for LoRA beside bare Node.
 *
 *   node bench/decoder.mjs [--runs N]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import module from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import v8 from 'node:v8';

// as bin/run.js has them
if (!module.enableCompileCache)
  for (const flag of ['--interrupt-budget=600000', '--max-inlined-bytecode-size-cumulative=2500']) v8.setFlagsFromString(flag);

const { readModel } = await import('../dist/model/open.js');
const { resolveTarget } = await import('../dist/machine/target.js');
const { Estimator } = await import('../dist/memory/estimate.js');
const { DEFAULT_SETUP } = await import('../dist/setup.js');

const { values: options } = parseArgs({ options: { runs: { type: 'string', default: '20' } } });
const runs = Number(options.runs);

const LLAMA_7B = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
};
const LENGTH = 2048;
const BATCHES = 200;
const DEVICES = 'a100-40gb,a100-80gb,h100-80gb,h200,rtx-4090,rtx-3090,a10,l4,l40s,v100-32gb,t4,b200';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, 'config.json');
writeFileSync(config, JSON.stringify(LLAMA_7B));

/** CPU and wall-clock milliseconds of the first run, and their means over the later half. */
function inProcess(name, count, run) {
  const taken = Array.from({ length: count }, () => {
    const [cpu, start] = [process.cpuUsage(), performance.now()];
    run();
    const { user, system } = process.cpuUsage(cpu);
    return { cpu: (user + system) / 1000, wall: performance.now() - start };
  });
  const later = taken.slice(count >> 1);
  const mean = (key) => later.reduce((sum, each) => sum + each[key], 0) / later.length;
  const figures = (cpu, wall) => `${cpu.toFixed(1)} ms of CPU, ${wall.toFixed(1)} ms`;
  console.log(
    `${name}: first ${figures(taken[0].cpu, taken[0].wall)}; mean of the last ${later.length} ${figures(mean('cpu'), mean('wall'))}`,
  );
}

const model = await readModel(config, { seq: LENGTH });
const target = await resolveTarget({ device: 'a100-80gb' });
const estimator = (batch) => new Estimator(model, { ...DEFAULT_SETUP, batch, precision: 'bf16', optimizer: 'adamw' }, target);
inProcess('an estimate', 20 * runs, () => estimator(2).estimate(2));
inProcess(`a sweep of ${BATCHES} batches`, 2 * runs, () => {
  const swept = estimator(2);
  for (let batch = 1; batch <= BATCHES; batch++) {
    swept.memory(batch);
    swept.fits(batch, 'best');
  }
});

/** Wall-clock milliseconds of a program, each run in turn with those of the others. */
const program = fileURLToPath(new URL('../bin/run.js', import.meta.url));
const compare = [program, 'compare', config, '--seq', LENGTH, '--method', 'lora', '--device', DEVICES, '--precision', 'bf16', '--json'];
const commands = { 'node -e 0': ['-e', '0'], 'compare of 12 devices for LoRA': compare.map(String) };
const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
for (let run = 0; run <= runs; run++) {
  for (const [name, args] of Object.entries(commands)) {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
    // a first run warms the file cache
    if (run > 0) times[name].push(performance.now() - start);
  }
}
for (const [name, taken] of Object.entries(times)) {
  const sorted = taken.sort((a, b) => a - b);
  const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) => sorted[i].toFixed(0));
  console.log(`${name}: least ${least} ms, median ${median} ms, most ${most} ms`);
}
