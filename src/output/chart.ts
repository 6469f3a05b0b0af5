/** A chart of a few curves for a terminal: plain characters, no colour. */

export interface Series {
  mark: string;
  points: Array<{ x: number; y: number }>;
}

/** Curves over a grid of characters, later series on top, with the range of both axes; "" without two finite points. */
export function drawChart(series: Series[], { width = 64, height = 12 } = {}): string {
  const all = series.flatMap(({ points }) => points).filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  if (all.length < 2) return '';
  const [left, right] = rangeOf(all.map(({ x }) => x));
  const [bottom, top] = rangeOf(withoutOutliers(all.map(({ y }) => y)));
  const grid = Array.from({ length: height }, () => Array.from({ length: width }, () => ' '));
  const place = (value: number, low: number, high: number, cells: number) => Math.round(((value - low) / (high - low || 1)) * (cells - 1));
  for (const { mark, points } of series) {
    for (const { x, y } of points) {
      if (!Number.isFinite(y)) continue;
      const row = height - 1 - Math.min(height - 1, Math.max(0, place(y, bottom, top, height)));
      grid[row]![place(x, left, right, width)] = mark;
    }
  }
  const label = (value: number) => `${Number(value.toPrecision(3))}`;
  const margin = Math.max(label(top).length, label(bottom).length);
  const lines = grid.map((cells, row) => {
    const edge = row === 0 ? label(top) : row === height - 1 ? label(bottom) : '';
    return `${edge.padStart(margin)} |${cells.join('').trimEnd()}`;
  });
  const ends = `${label(left)}${label(right).padStart(width - label(left).length)}`;
  return [...lines, `${' '.repeat(margin)} +${'-'.repeat(width)}`, `${' '.repeat(margin + 2)}${ends}`].join('\n');
}

const rangeOf = (values: number[]): [number, number] => [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];

/** The lowest 98 %: one spike would press the rest of a curve flat. It is drawn at the top edge. */
function withoutOutliers(values: number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.slice(0, Math.max(2, Math.ceil(sorted.length * 0.98)));
}
