/** Statistics of one source's answers, as cells of a table. */
export const HEAD = [
  'source',
  'rows',
  'answered',
  'median',
  'mean',
  'p90',
  'p95',
  'signed',
  'under by > 5 %',
  'high passed',
  'right',
  'within a rung',
];

export function summarize(name, answers) {
  const answered = answers.filter(({ failure }) => !failure);
  const errors = answered.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const sizes = errors.map(Math.abs);
  const bounded = answered.filter(({ exceeded }) => exceeded !== undefined);
  const called = answered.filter(({ miss }) => miss !== undefined);
  const stepped = answered.filter(({ rungs }) => rungs !== undefined);
  return {
    source: name,
    rows: String(answers.length),
    answered: String(answered.length),
    ...(errors.length > 0 && {
      median: percent(quantile(sizes, 0.5)),
      mean: percent(sizes.reduce((sum, each) => sum + each, 0) / sizes.length),
      p90: percent(quantile(sizes, 0.9)),
      p95: percent(quantile(sizes, 0.95)),
      signed: percent(quantile(errors, 0.5)),
      'under by > 5 %': share(errors, (each) => each < -0.05),
    }),
    ...(bounded.length > 0 && { 'high passed': share(bounded, ({ exceeded }) => exceeded) }),
    ...(called.length > 0 && { right: share(called, ({ miss }) => !miss) }),
    ...(stepped.length > 0 && { 'within a rung': share(stepped, ({ rungs }) => Math.abs(rungs) <= 1) }),
  };
}

/** The smallest value that at least `q` of the values do not exceed. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))];
}

function share(values, holds) {
  return `${((100 * values.filter(holds).length) / values.length).toFixed(1)} %`;
}

function percent(value) {
  return `${(100 * value).toFixed(Math.abs(value) < 0.0095 ? 2 : 1)} %`;
}
