/** Names that a mistyped one may have meant. */

/** The candidates closest to `name` by edit distance, best first; none that is too far off. */
export function nearestNames(name: string, candidates: Iterable<string>, limit = 3): string[] {
  const wanted = name.toLowerCase();
  const scored = [...candidates].map((candidate) => ({ candidate, distance: score(wanted, candidate.toLowerCase()) }));
  const far = Math.max(2, Math.floor(wanted.length / 2));
  return scored
    .filter(({ distance }) => distance <= far)
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}

/** A name that begins with the other is near, however long the rest. */
function score(a: string, b: string): number {
  return a !== '' && (b.startsWith(a) || a.startsWith(b)) ? 1 : editDistance(a, b);
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
