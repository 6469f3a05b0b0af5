/** Rows with the work of their step and the rates of their device, ready to be timed with any coefficients. */
import { loadDeviceProfile } from '../../dist/machine/profiles.js';
import { readModel } from '../../dist/model/open.js';
import { DEFAULT_SETUP } from '../../dist/setup.js';
import { ratesOf } from '../../dist/speed/rates.js';
import { StepWork } from '../../dist/speed/step-work.js';
import { traceStep } from '../../dist/trace/index.js';
import { configFolder } from './rows.mjs';

/** Adds { work, setup, rates } to each row. Rows that the trace does not cover are left out and named. */
export async function prepare(rows, report = () => {}) {
  const works = new Map();
  const prepared = [];
  const failed = new Map();
  for (const row of rows) {
    const profile = await loadDeviceProfile(row.device);
    const capability = Number(profile.computeCapability) * 10;
    const setup = { ...DEFAULT_SETUP, ...row.setup };
    const { batch, gpus, ...kind } = setup;
    const key = JSON.stringify([row.model, capability, kind]);
    if (failed.has(key)) continue;
    try {
      if (!works.has(key)) works.set(key, await workOf(row, setup, capability));
      const target = { name: profile.name, kind: 'cuda', profile, multiprocessors: null };
      prepared.push({
        ...row,
        setup,
        work: works.get(key)(batch),
        rates: ratesOf(target, setup.precision),
        key: `${row.device} ${gpus} ${batch} ${key}`,
      });
    } catch (error) {
      failed.set(key, error);
      report(`${row.id}: ${error.message}`);
    }
  }
  return prepared;
}

function openRow({ file, reference, image, config, seq, math, name }) {
  if (file ?? reference) return readModel(file ?? reference, { image: [image, image] });
  return readModel(configFolder({ config, name }), { seq, ...(math ? { attention: 'math' } : {}) });
}

async function workOf(row, setup, capability) {
  const model = await openRow(row.model);
  const accumulating = setup.accumulation > 1 || setup.zeroGrad === 'to-zero';
  const work = new StepWork((batch) =>
    traceStep(model, { ...setup, batch }, { capability, outOfPlaceSums: false, accumulating, logsKernels: true }),
  );
  // Only what a prediction needs is kept: a trace is megabytes.
  const { trained, parameterBytes } = work;
  const at = new Map();
  return (batch) => {
    if (!at.has(batch)) at.set(batch, [...work.at(batch)]);
    return { at: () => at.get(batch), trained, parameterBytes };
  };
}
