/** The page around a report: one file, its style in it, light or dark as the reader's system is. */
import { escapeHtml } from './svg.js';

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #57606a; --rule: #d0d7de; --accent: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1; --rule: #3d444d; --accent: #79c0ff; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:first-child, td:first-child, .words td, .words th { text-align: left; } tr.chosen { font-weight: 600; }
caption { text-align: left; color: var(--soft); } .soft, footer { color: var(--soft); }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--soft); }
.axis { fill: none; stroke: var(--rule); } .line { fill: none; stroke: var(--accent); stroke-width: 2; }
.dot { fill: var(--accent); } .marked { fill: var(--paper); stroke: var(--accent); stroke-width: 3; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .9rem; }
.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; }
.c0 { fill: #3b7dd8; background: #3b7dd8; } .c1 { fill: #d9822b; background: #d9822b; } .c2 { fill: #2f9e64; background: #2f9e64; }
.c3 { fill: #c2507a; background: #c2507a; } .c4 { fill: #8a63d2; background: #8a63d2; } .c5 { fill: #b59f1e; background: #b59f1e; }
.c6 { fill: #2aa1a8; background: #2aa1a8; } .c7 { fill: #8b949e; background: #8b949e; }
@media print { body { margin: 0; max-width: none; } }
`;

export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`;
}

export function section(title: string, ...parts: string[]): string {
  return `<section>\n<h2>${escapeHtml(title)}</h2>\n${parts.join('\n')}\n</section>`;
}

export interface Row {
  cells: string[];
  chosen?: boolean;
}

/** The first cell of a row names it. */
export function htmlTable(caption: string, head: string[], rows: Row[], words = false): string {
  const heads = head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join('');
  const body = rows.map(({ cells: [name = '', ...rest], chosen }) => {
    const cells = rest.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('');
    return `<tr${chosen ? ' class="chosen"' : ''}><th scope="row">${escapeHtml(name)}</th>${cells}</tr>`;
  });
  const table = `<table${words ? ' class="words"' : ''}><caption>${escapeHtml(caption)}</caption><thead><tr>${heads}</tr></thead><tbody>${body.join('')}</tbody></table>`;
  return `<div class="scroll">${table}</div>`;
}
