/** Breaks long lines between words where a terminal would break them anywhere; files and pipes keep theirs whole. */

/** `text` in lines of `columns` at most; what is broken goes on below its own text. Rows of tables stay as they are. */
export function wrap(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => (line.length <= columns || isRow(line) ? line : wrapLine(line, columns)))
    .join('\n');
}

/** `text` for a stream: wrapped where it is a terminal that says how wide it is. */
export function wrapFor({ isTTY, columns }: { isTTY?: boolean; columns?: number }, text: string): string {
  return isTTY && columns ? wrap(text, columns) : text;
}

/** Three columns or more. */
function isRow(line: string): boolean {
  return (line.trim().match(/\S {2,}(?=\S)/g) ?? []).length >= 2;
}

function wrapLine(line: string, columns: number): string {
  const indent = ' '.repeat(hangingIndent(line, columns));
  const lead = /^\s*/.exec(line)![0];
  const words = line.slice(lead.length).split(/(?<=\S)(?= )/);
  const lines = [lead + words[0]!];
  for (const word of words.slice(1)) {
    const last = lines.length - 1;
    if (lines[last]!.length + word.length <= columns) lines[last] += word;
    else lines.push(indent + word.trimStart());
  }
  return lines.join('\n');
}

/** Below the second column of "label   text", else two more than the line itself. */
function hangingIndent(line: string, columns: number): number {
  const label = /^\s*\S+(?: \S+)* {2,}(?=\S)/.exec(line)?.[0].length ?? 0;
  return label > 0 && label < columns / 2 ? label : /^\s*/.exec(line)![0].length + 2;
}
