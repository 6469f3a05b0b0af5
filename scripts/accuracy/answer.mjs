/** The product's answer to each row, and how far it is off. */

/** timm's benchmark steps down this ladder until a batch runs. */
export const LADDER = [512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];

/**
 * Answers rows: { id, model, setup, device, memory?, stack?, counter, actual }. `counter` is a field of the estimate's peak,
 * "call" (`actual`: whether it fits) or "bracket" (`actual`: { fits, fails }).
 * Returns { row, error?, failure?, miss?, rungs?, exceeded? } in the order of models, one estimator for each.
 */
export async function answerRows(product, models, rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = JSON.stringify([row.model, { ...row.setup, batch: 0 }, row.device, row.memory, row.stack]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  const answers = [];
  for (const [, own] of [...groups].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
    let estimator = null;
    let failure = null;
    try {
      estimator = await estimatorOf(product, models, own[0]);
    } catch (error) {
      failure = String(error.message).slice(0, 160);
    }
    for (const row of own) answers.push({ row, ...(failure ? { failure } : answer(estimator, row)) });
  }
  return answers;
}

async function estimatorOf({ Estimator, resolveTarget, DEFAULT_SETUP }, models, row) {
  const model = await models.read(row.model);
  const target = await resolveTarget({ device: row.device, memory: row.memory });
  return new Estimator(model, { ...DEFAULT_SETUP, ...row.setup }, target, undefined, row.stack);
}

function answer(estimator, row) {
  try {
    if (row.counter === 'call') return answerCall(estimator, row);
    if (row.counter === 'bracket') return answerBracket(estimator, row);
    const memory = estimator.memory(row.setup.batch);
    if (row.counter === 'peakAt') return { miss: memory.peakAt !== row.actual };
    const { best, high } = rangeOf(memory.peak, row.counter);
    return { error: (best - row.actual) / row.actual, exceeded: high === null ? undefined : row.actual > high };
  } catch (error) {
    return { failure: String(error.message).slice(0, 160) };
  }
}

/** A device figure has its own range; the share of the reserve in `high` bounds a reading less the context. */
function rangeOf(peak, counter) {
  if (counter === 'deviceBytes') return peak.deviceBytes;
  if (counter !== 'reservedBytes') return { best: peak[counter], high: null };
  return { best: peak.reservedBytes, high: peak.reservedBytes + peak.deviceBytes.high - peak.deviceBytes.best };
}

function answerCall(estimator, row) {
  const fits = estimator.fits(row.setup.batch, 'best');
  return { miss: fits !== row.actual, note: fits ? 'said to fit' : 'said not to fit' };
}

/** The largest rung that fits, against the rung that ran; `rungs` counts upwards. */
function answerBracket(estimator, row) {
  const { fits, fails } = row.actual;
  const largest = estimator.largest('best');
  const rung = (batch) => LADDER.findIndex((each) => each <= batch);
  const said = rung(largest);
  const predicted = said < 0 ? LADDER.length : said;
  const real = rung(fits);
  // At the ladder's top nothing failed: more is right too.
  const rungs = fails === null && largest >= fits ? 0 : real - predicted;
  return { rungs, miss: rungs !== 0, note: `largest ${largest}, ran ${fits}${fails === null ? '' : `, failed ${fails}`}` };
}
