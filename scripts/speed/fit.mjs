/** Fits the coefficients: weighted Levenberg-Marquardt on log(predicted / measured), in the logarithms of the coefficients. */
import { stepTime } from '../../dist/speed/step-time.js';

/** Errors beyond this count by their size, not its square: published tables hold outliers. */
const ROBUST = 0.06;

/**
 * @param rows prepared rows; `weight` each
 * @param start coefficients that physics suggests; `spread` is how far (in e-folds) a coefficient may be from there
 */
export function fitCoefficients(rows, start, spread, { iterations = 25, priorWeight = 0.002, report = () => {} } = {}) {
  const names = Object.keys(start);
  const prior = names.map((name) => Math.log(start[name]));
  const keys = [...new Set(rows.map((row) => row.key))];
  const distinct = keys.map((key) => rows.find((row) => row.key === key));
  const at = new Map(keys.map((key, i) => [key, i]));
  const place = rows.map((row) => at.get(row.key));
  const total = rows.reduce((sum, row) => sum + row.weight, 0);
  // No kernel beats the peak rates: factors on them stay at or above one.
  const floor = (name) => (/(Compute|Memory)$/.test(name) ? 1 : 0);
  const coefficients = (theta) => Object.fromEntries(names.map((name, i) => [name, Math.max(floor(name), Math.exp(theta[i]))]));
  const errors = (theta) => {
    const c = coefficients(theta);
    const seconds = distinct.map((row) => predict(row, c)); // one model is timed in several tables
    return rows.map((row, i) => Math.log(seconds[place[i]] / row.seconds));
  };
  const cost = (theta, e) =>
    e.reduce((sum, x, i) => sum + (rows[i].weight / total) * ROBUST * (Math.sqrt(1 + (x / ROBUST) ** 2) - 1), 0) +
    (priorWeight * theta.reduce((sum, x, i) => sum + ((x - prior[i]) / spread[names[i]]) ** 2, 0)) / names.length;
  let theta = [...prior];
  let e = errors(theta);
  let best = cost(theta, e);
  let damping = 1e-2;
  for (let round = 0; round < iterations; round++) {
    const jacobian = names.map((_, j) => {
      const step = 1e-4;
      const moved = errors(theta.map((x, i) => (i === j ? x + step : x)));
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
    for (let attempt = 0; attempt < 8 && !improved; attempt++) {
      const damped = hessian.map((r, a) => r.map((x, b) => (a === b ? x * (1 + damping) + 1e-12 : x)));
      const delta = solve(damped, gradient).map((x) => Math.max(-1, Math.min(1, x)));
      const candidate = theta.map((x, i) => x - delta[i]);
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
