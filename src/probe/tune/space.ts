/** What a study searches: batches, each with the learning rate that its scaling rule gives, and how far around that rate to look. */

export interface TuneSpace {
  /** Ascending, without repeats. */
  batches: number[];
  /** The rule's learning rate at each batch. */
  rates: number[];
  /** The learning rate is searched from rate / spread to rate * spread; 1 keeps to the rule. */
  spread: number;
  /** The batch whose rate is known; settings near it are tried first. */
  referenceBatch: number;
}

/** One point of the space: `factor` is the learning rate over the rule's. */
export interface Point {
  index: number;
  factor: number;
}

export interface Setting {
  batch: number;
  learningRate: number;
}

/** Rates for people and programs: six digits are more than any training can tell apart. */
export function settingAt({ batches, rates }: TuneSpace, { index, factor }: Point): Setting {
  return { batch: batches[index]!, learningRate: Number((rates[index]! * factor).toPrecision(6)) };
}

/** Every batch with the rule's rate and, within the spread, its doublings and halvings; the likeliest points first. */
export function gridOf(space: TuneSpace): Point[] {
  const doublings = Math.floor(Math.log2(space.spread) + 1e-9);
  const outermost = space.spread > 1 && doublings === 0 ? [space.spread] : [];
  const factors = [1, ...Array.from({ length: doublings }, (_, at) => 2 ** (at + 1)), ...outermost];
  const both = factors.flatMap((factor) => (factor === 1 ? [1] : [factor, 1 / factor]));
  const points = space.batches.flatMap((_, index) => both.map((factor) => ({ index, factor })));
  const distance = ({ index, factor }: Point) => [
    Math.abs(Math.log2(space.batches[index]! / space.referenceBatch)),
    Math.abs(Math.log2(factor)),
  ];
  return points.sort((a, b) => {
    const [batchA, factorA] = distance(a);
    const [batchB, factorB] = distance(b);
    return batchA! + factorA! - (batchB! + factorB!) || batchA! - batchB! || a.index - b.index;
  });
}

/** As many of the points, spread evenly over their order. */
export function thinOut(points: Point[], count: number): Point[] {
  if (count >= points.length) return points;
  return Array.from({ length: count }, (_, at) => points[Math.floor((at * points.length) / count)]!);
}

/** A batch below `ceiling` and a rate, uniform in their logarithms; null when no batch is below it. */
export function drawPoint(space: TuneSpace, ceiling: number, random: () => number): Point | null {
  const allowed = space.batches.filter((batch) => batch < ceiling).length;
  if (allowed === 0) return null;
  return { index: Math.min(allowed - 1, Math.floor(random() * allowed)), factor: space.spread ** (2 * random() - 1) };
}
