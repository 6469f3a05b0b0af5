/** Small plots as inline SVG: no script, colours from the page's own variables, and a text for who cannot see them. */

export function escapeHtml(text: unknown): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (character) => entities[character]!);
}

export interface Part {
  name: string;
  value: number;
  /** How the value is written. */
  label: string;
}

const WIDTH = 640;
const HEIGHT = 240;
const MARGIN = { left: 64, right: 16, top: 12, bottom: 40 };

/** One bar of parts next to each other, largest first as given; parts of no size are left out. */
export function stackedBar(parts: Part[], description: string): string {
  const shown = parts.filter(({ value }) => value > 0);
  const total = shown.reduce((sum, { value }) => sum + value, 0);
  let at = 0;
  const bars = shown.map(({ name, value, label }, index) => {
    const width = (value / total) * WIDTH;
    const bar = `<rect class="c${index % 8}" x="${round(at)}" y="0" width="${round(width)}" height="36"><title>${escapeHtml(`${name}: ${label}`)}</title></rect>`;
    at += width;
    return bar;
  });
  const legend = shown.map(({ name, label }, index) => `<li><span class="key c${index % 8}"></span>${escapeHtml(`${name} ${label}`)}</li>`);
  const svg = `<svg viewBox="0 0 ${WIDTH} 36" role="img" aria-label="${escapeHtml(description)}">${bars.join('')}</svg>`;
  return `${svg}<ul class="legend">${legend.join('')}</ul>`;
}

export interface LinePlot {
  points: { x: number; y: number; marked?: boolean; title?: string }[];
  xTitle: string;
  yTitle: string;
  description: string;
  format: (value: number) => string;
  /** Powers of two along x are equally far apart. */
  logX?: boolean;
}

/** A line through points over a y axis from 0. Points are drawn where there are few. */
export function linePlot({ points, xTitle, yTitle, description, format, logX = false }: LinePlot): string {
  const scale = logX ? Math.log2 : (value: number) => value;
  const xs = points.map(({ x }) => scale(x));
  const [least, most] = [Math.min(...xs), Math.max(...xs)];
  const highest = Math.max(...points.map(({ y }) => y)) || 1;
  const left = (x: number) => MARGIN.left + ((scale(x) - least) / (most - least || 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const top = (y: number) => HEIGHT - MARGIN.bottom - (y / highest) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const line = points.map(({ x, y }) => `${round(left(x))},${round(top(y))}`).join(' ');
  const yTicks = [0, 0.5, 1].map((share) => tick(MARGIN.left - 6, top(share * highest) + 4, 'end', format(share * highest)));
  const labelled = points.length <= 8 ? points : [points[0]!, points[points.length - 1]!];
  const xTicks = labelled.map(({ x }) => tick(left(x), HEIGHT - MARGIN.bottom + 16, 'middle', format(x)));
  const dots =
    points.length > 16
      ? []
      : points.map(({ x, y, marked, title }) => {
          const name = title ? `<title>${escapeHtml(title)}</title>` : '';
          return `<circle class="${marked ? 'marked' : 'dot'}" cx="${round(left(x))}" cy="${round(top(y))}" r="${marked ? 6 : 4}">${name}</circle>`;
        });
  const base = HEIGHT - MARGIN.bottom;
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(description)}">`,
    `<path class="axis" d="M${MARGIN.left} ${MARGIN.top}V${base}H${WIDTH - MARGIN.right}"/>`,
    `<polyline class="line" points="${line}"/>`,
    ...dots,
    ...yTicks,
    ...xTicks,
    tick(WIDTH - MARGIN.right, HEIGHT - 6, 'end', xTitle),
    tick(MARGIN.left + 6, MARGIN.top + 8, 'start', yTitle),
    '</svg>',
  ].join('');
}

function tick(x: number, y: number, anchor: string, text: string): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;
}

const round = (value: number): number => Math.round(value * 100) / 100;
