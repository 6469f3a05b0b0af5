import { describe, expect, it } from 'vitest';
import { escapeHtml, linePlot, stackedBar } from '../../src/output/html/svg.js';

describe('a stacked bar', () => {
  it('fills its width in proportion and leaves out what has no size', () => {
    const parts = [
      { name: 'a', value: 3, label: '3' },
      { name: 'none', value: 0, label: '0' },
      { name: 'b', value: 1, label: '1' },
    ];
    const svg = stackedBar(parts, 'a and b');
    const bars = [...svg.matchAll(/<rect class="c\d" x="([\d.]+)" y="0" width="([\d.]+)"/g)].map(([, x, width]) => [
      Number(x),
      Number(width),
    ]);
    expect(bars).toEqual([
      [0, 480],
      [480, 160],
    ]);
    expect(svg).not.toContain('none');
  });
});

describe('a line plot', () => {
  const base = { xTitle: 'x', yTitle: 'y', description: 'a <line>', format: String };
  it('puts powers of two equally far apart and keeps to its frame', () => {
    const points = [64, 128, 256].map((x, index) => ({ x, y: index * 10, marked: index === 1 }));
    const svg = linePlot({ ...base, points, logX: true });
    const places = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(places).toEqual([
      [64, 200],
      [344, 106],
      [624, 12],
    ]);
    expect(svg.match(/class="marked"/g)).toHaveLength(1);
    expect(svg).toContain('a &lt;line&gt;');
  });
  it('draws a flat line and a single point', () => {
    expect(linePlot({ ...base, points: [{ x: 1, y: 0 }] })).not.toContain('NaN');
    expect(
      linePlot({
        ...base,
        points: [
          { x: 0, y: 2 },
          { x: 5, y: 2 },
        ],
      }),
    ).toContain('points="64,12 624,12"');
  });
});

it('escapes what has a meaning in HTML', () => {
  expect(escapeHtml(`<a href="x">'&'</a>`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;');
});
