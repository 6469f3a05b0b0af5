/** Statistics of a curve that hold up under noise, few points and outliers. */

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Makes the median absolute deviation the standard deviation of a normal distribution. */
const MAD_SCALE = 1.4826;

/**
 * Standard deviation of the noise on a curve, from differences of neighbours, which a trend hardly enters and outliers
 * neither: first differences, or second ones where a steep curve of few points makes those the smaller.
 */
export function noiseOf(values: number[]): number {
  if (values.length < 4) return 0;
  const first = differencesOf(values);
  return Math.min(spreadOf(first) / Math.SQRT2, spreadOf(differencesOf(first)) / Math.sqrt(6));
}

const differencesOf = (values: number[]) => values.slice(1).map((value, index) => value - values[index]!);

function spreadOf(values: number[]): number {
  const center = median(values);
  return MAD_SCALE * median(values.map((value) => Math.abs(value - center)));
}

/** Centered moving average; the window shrinks at both ends so that it stays centered. */
export function smooth(values: number[], window: number): number[] {
  const half = Math.floor(window / 2);
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return values.map((_, index) => {
    const reach = Math.min(half, index, values.length - 1 - index);
    return (sums[index + reach + 1]! - sums[index - reach]!) / (2 * reach + 1);
  });
}

/** Least-squares slope per point. */
export function slopeOf(values: number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let covariance = 0;
  let variance = 0;
  for (const [index, value] of values.entries()) {
    covariance += (index - middle) * (value - mean);
    variance += (index - middle) ** 2;
  }
  return variance === 0 ? 0 : covariance / variance;
}

export function correlation(a: number[], b: number[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let product = 0;
  let squareA = 0;
  let squareB = 0;
  for (const [index, value] of a.entries()) {
    product += (value - meanA) * (b[index]! - meanB);
    squareA += (value - meanA) ** 2;
    squareB += (b[index]! - meanB) ** 2;
  }
  return squareA === 0 || squareB === 0 ? 0 : product / Math.sqrt(squareA * squareB);
}

export interface Period {
  /** Points from one peak to the next. */
  lag: number;
  /** Autocorrelation at that lag. */
  strength: number;
  /** Half of the swing. */
  amplitude: number;
}

/** Of this share of a curve's start nothing is asked: it falls too fast there to tell a swing from the fall. */
const SKIPPED = 0.2;
const SHORTEST_PERIOD = 3;
const FEWEST_PERIODS = 4;

/** Longer curves are averaged down to this many points first: shorter swings than that are noise to a reader. */
const MOST_POINTS = 500;

/** The strongest repeating pattern of a curve, after its trend is taken out by averages over one period; null for none. */
export function findPeriod(values: number[]): Period | null {
  const size = Math.ceil(values.length / MOST_POINTS);
  const period = findShortPeriod(average(values, size));
  return period === null ? null : { ...period, lag: period.lag * size };
}

/** Means of neighbours, `size` at a time. */
function average(values: number[], size: number): number[] {
  if (size === 1) return values;
  return Array.from({ length: Math.floor(values.length / size) }, (_, index) => {
    const group = values.slice(index * size, (index + 1) * size);
    return group.reduce((sum, value) => sum + value, 0) / size;
  });
}

function findShortPeriod(values: number[]): Period | null {
  const late = values.slice(Math.floor(values.length * SKIPPED));
  const longest = Math.floor(late.length / FEWEST_PERIODS);
  let best: Period | null = null;
  for (let lag = SHORTEST_PERIOD; lag <= longest; lag++) {
    const candidate = periodAt(late, lag);
    if (candidate !== null && (best === null || candidate.strength > best.strength + 0.05)) best = candidate;
  }
  return best;
}

function periodAt(values: number[], lag: number): Period | null {
  const rest = detrend(detrend(values, lag), lag).slice(lag, -lag);
  if (rest.length < lag * 2) return null;
  const strength = correlation(rest.slice(0, -lag), rest.slice(lag));
  const crossings = rest.slice(1).filter((value, index) => value > 0 !== rest[index]! > 0).length;
  // A swing crosses zero about twice a period; what is left of a bend hardly does.
  if (crossings < (rest.length / lag) * 1.2) return null;
  const phases = Array.from({ length: lag }, (_, phase) => {
    const members = rest.filter((_value, index) => index % lag === phase);
    return members.reduce((sum, value) => sum + value, 0) / members.length;
  });
  return { lag, strength, amplitude: (Math.max(...phases) - Math.min(...phases)) / 2 };
}

function detrend(values: number[], window: number): number[] {
  const trend = smooth(values, window % 2 === 1 ? window : window + 1);
  return values.map((value, index) => value - trend[index]!);
}
