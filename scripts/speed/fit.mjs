/** Fits the coefficients: weighted Levenberg-Marquardt on log(predicted / measured), in the logarithms of the coefficients. */
import { combine, stepParts, stepTime } from '../../dist/speed/step-time.js';

/** Errors beyond this count by their size, not its square: published tables hold outliers. */
const ROBUST = 0.06;

/**
 * @param rows prepared rows; `weight` each
 * @param start coefficients that physics suggests; `spread` is how far (in e-folds) a coefficient may be from there; the search
 *   begins at `from`
 */
export function fitCoefficients(rows, start, spread, { from = start, iterations = 25, priorWeight = 0.002, report = () => {} } = {}) {
  const names = Object.keys(start);
  const prior = names.map((name) => Math.log(start[name]));
  const keys = [...new Set(rows.map((row) => row.key))];
  const distinct = keys.map((key) => rows.find((row) => row.key === key));
  const at = new Map(keys.map((key, i) => [key, i]));
  const place = rows.map((row) => at.get(row.key));
  const total = rows.reduce((sum, row) => sum + row.weight, 0);
  // No kernel beats the peak rates: factors on them stay at or above one.
  const lowest = names.map((name) => (/(Compute|Memory)$/.test(name) ? 0 : Number.NEGATIVE_INFINITY));
  const highest = names.map((name) => (name === 'exposedCommunication' ? 0 : Number.POSITIVE_INFINITY)); // a share
  const coefficients = (theta) => Object.fromEntries(names.map((name, i) => [name, Math.exp(theta[i])]));
  const timings = distinct.map((row) => new Timing(row)); // one model is timed in several tables
  const errors = (theta, changed = null) => {
    const c = coefficients(theta);
    const seconds = timings.map((timing) => timing.seconds(c, changed));
    return rows.map((row, i) => Math.log(seconds[place[i]] / row.seconds));
  };
  const cost = (theta, e) =>
    e.reduce((sum, x, i) => sum + (rows[i].weight / total) * ROBUST * (Math.sqrt(1 + (x / ROBUST) ** 2) - 1), 0) +
    (priorWeight * theta.reduce((sum, x, i) => sum + ((x - prior[i]) / spread[names[i]]) ** 2, 0)) / names.length;
  let theta = names.map((name) => Math.log(from[name]));
  let e = errors(theta);
  let best = cost(theta, e);
  let damping = 1e-2;
  for (let round = 0; round < iterations; round++) {
    const jacobian = names.map((_, j) => {
      const step = 1e-4;
      const moved = errors(
        theta.map((x, i) => (i === j ? x + step : x)),
        names[j],
      );
      return moved.map((x, i) => (x - e[i]) / step);
    });
    // Reweighted least squares: the robust cost's curvature.
    const weights = e.map((x, i) => rows[i].weight / total / ROBUST / Math.sqrt(1 + (x / ROBUST) ** 2));
    const hessian = names.map((_, a) => names.map((__, b) => dot3(jacobian[a], jacobian[b], weights)));
    const gradient = names.map((_, a) => dot3(jacobian[a], e, weights));
    names.forEach((name, a) => {
      const pull = (2 * priorWeight) / names.length / spread[name] ** 2;
      hessian[a][a] += pull;
      gradient[a] += pull * (theta[a] - prior[a]);
    });
    let improved = false;
    for (let attempt = 0; attempt < 10 && !improved; attempt++) {
      const damped = hessian.map((r, a) => r.map((x, b) => (a === b ? x * (1 + damping) + 1e-12 : x)));
      const delta = solve(damped, gradient).map((x) => Math.max(-1, Math.min(1, x)));
      const candidate = theta.map((x, i) => Math.min(highest[i], Math.max(lowest[i], x - delta[i])));
      const candidateErrors = errors(candidate);
      const value = cost(candidate, candidateErrors);
      if (value < best) {
        improved = best - value > 1e-4 * best;
        [theta, e, best] = [candidate, candidateErrors, value];
        damping /= 5;
        break;
      }
      damping *= 6;
    }
    report(`round ${round + 1}: cost ${best.toFixed(6)}`);
    if (!improved) break;
  }
  return coefficients(theta);
}

/** Seconds of a row, kept by class of kernels: where one coefficient moves, only what depends on it is timed again. */
class Timing {
  /** Classes that a coefficient changes, learned when it first moves. */
  #touched = new Map();
  #parts = new Map();

  constructor(row) {
    this.row = row;
    const { trained, parameterBytes } = row.work;
    const classes = groupBy(row.work.at());
    this.works = new Map(
      [...classes].map(([name, works]) => [name, { at: () => works, trained: { tensors: 0, bytes: 0 }, parameterBytes: 0 }]),
    );
    this.works.set('update', { at: () => [], trained, parameterBytes });
  }

  #time(name, c) {
    const { setup, rates } = this.row;
    return stepParts(this.works.get(name), setup, setup.batch, rates, c);
  }

  /** With all coefficients anew, or with those of the last time but for the one that `changed`. */
  seconds(c, changed) {
    let moved = changed === null ? null : this.#touched.get(changed);
    const parts = new Map(this.#parts);
    for (const name of moved ?? this.works.keys()) parts.set(name, this.#time(name, c));
    if (changed === null) {
      this.#parts = parts;
    } else if (!moved) {
      moved = [...parts.keys()].filter((name) => differ(parts.get(name), this.#parts.get(name)));
      this.#touched.set(changed, moved);
    }
    const total = { device: 0, launching: 0, communication: 0, compute: 0, memory: 0 };
    for (const part of parts.values()) for (const key of Object.keys(total)) total[key] += part[key];
    return combine(total, this.row.rates, c).seconds;
  }
}

const differ = (a, b) => Object.keys(a).some((key) => a[key] !== b[key]);

function groupBy(works) {
  const groups = new Map();
  for (const work of works) groups.set(work.class, [...(groups.get(work.class) ?? []), work]);
  return groups;
}

export function predict(row, coefficients) {
  return stepTime(row.work, row.setup, row.setup.batch, row.rates, coefficients).seconds;
}

function dot3(a, b, w) {
  let sum = 0;
  for (let i = 0; i < w.length; i++) sum += a[i] * b[i] * w[i];
  return sum;
}

/** Gaussian elimination with pivots. */
function solve(matrix, right) {
  const n = right.length;
  const a = matrix.map((row, i) => [...row, right[i]]);
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let r = i + 1; r < n; r++) if (Math.abs(a[r][i]) > Math.abs(a[pivot][i])) pivot = r;
    [a[i], a[pivot]] = [a[pivot], a[i]];
    for (let r = i + 1; r < n; r++) {
      const factor = a[r][i] / a[i][i];
      if (factor !== 0) for (let k = i; k <= n; k++) a[r][k] -= factor * a[i][k];
    }
  }
  const x = new Array(n);
  for (let i = n - 1; i >= 0; i--) {
    let sum = a[i][n];
    for (let k = i + 1; k < n; k++) sum -= a[i][k] * x[k];
    x[i] = sum / a[i][i];
  }
  return x;
}

/** Median and 90th percentile of the error of throughput, rank correlation, and bias. */
export function score(rows, predictions) {
  const errors = rows.map((row, i) => Math.abs(row.seconds / predictions[i] - 1));
  const sorted = [...errors].sort((a, b) => a - b);
  const quantile = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  const bias = rows.map((row, i) => Math.log(row.seconds / predictions[i])).sort((a, b) => a - b)[rows.length >> 1];
  const rank = spearman(
    rows.map((row) => row.samples / row.seconds),
    rows.map((row, i) => row.samples / predictions[i]),
  );
  return { rows: rows.length, median: quantile(0.5), p90: quantile(0.9), rank, bias };
}

function spearman(a, b) {
  const ranks = (values) => {
    const order = values.map((value, i) => [value, i]).sort((x, y) => x[0] - y[0]);
    const out = new Array(values.length);
    for (let i = 0; i < order.length; ) {
      let end = i;
      while (end < order.length && order[end][0] === order[i][0]) end++;
      for (let k = i; k < end; k++) out[order[k][1]] = (i + end - 1) / 2;
      i = end;
    }
    return out;
  };
  const [x, y] = [ranks(a), ranks(b)];
  const mean = (x.length - 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  x.forEach((value, i) => {
    xy += (value - mean) * (y[i] - mean);
    xx += (value - mean) ** 2;
    yy += (y[i] - mean) ** 2;
  });
  return xy / Math.sqrt(xx * yy);
}
