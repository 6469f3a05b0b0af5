/** The checks for people, for GitHub Actions and for whatever reads JUnit. */
import type { Check } from '../plan/check/fact.js';
import { formatBytes } from '../units.js';

export const CHECK_FORMATS = ['text', 'github', 'junit'] as const;
export type CheckFormat = (typeof CHECK_FORMATS)[number];

const MARKS: Record<Check['outcome'], string> = { passed: 'ok', failed: 'no', missing: 'missing', unknown: 'unknown' };

export function renderChecks(checks: Check[], passed: boolean, format: CheckFormat): string {
  if (format === 'github') return renderGithub(checks, passed);
  return format === 'junit' ? renderJunit(checks) : renderText(checks, passed);
}

/** A size in words, other values as they are. */
function found({ found: value, expected, name }: Check): string {
  if (value === null) return 'nothing';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'number' && (/[KMG]i?B/.test(expected) || /memory|free|available/.test(name)) ? formatBytes(value) : `${value}`;
}

function renderText(checks: Check[], passed: boolean): string {
  const width = Math.max(...checks.map(({ outcome }) => MARKS[outcome].length));
  const lines = checks.map((check) => {
    const level = check.level === 'warn' && !check.passed ? ' (warning)' : '';
    const note = check.note === '' || check.note.startsWith('found ') ? '' : `: ${check.note}`;
    return `${MARKS[check.outcome].padEnd(width)}  ${check.name} ${check.expected}, found ${found(check)}${level}${note}`;
  });
  return [...lines, '', passed ? 'check passed' : 'check did not pass'].join('\n');
}

/** Workflow commands; percent signs and line ends are escaped as GitHub wants them. */
function renderGithub(checks: Check[], passed: boolean): string {
  const escaped = (text: string) => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  const property = (text: string) => escaped(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
  const lines = checks
    .filter((check) => !check.passed)
    .map((check) => {
      const command = check.level === 'warn' ? 'warning' : 'error';
      return `::${command} title=${property(`batchfit ${check.name}`)}::${escaped(`expected ${check.expected}, found ${found(check)}${check.note === '' ? '' : `: ${check.note}`}`)}`;
    });
  return [...lines, `::notice title=batchfit::${passed ? 'check passed' : 'check did not pass'} (${checks.length} checks)`].join('\n');
}

function renderJunit(checks: Check[]): string {
  const escaped = (text: string) =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&apos;');
  const failing = (check: Check) => check.level === 'error' && !check.passed;
  const cases = checks.map((check) => {
    const message = escaped(`expected ${check.expected}, found ${found(check)}${check.note === '' ? '' : `: ${check.note}`}`);
    const open = `  <testcase classname="batchfit.check" name="${escaped(`${check.name} ${check.expected}`)}"`;
    if (check.passed) return `${open}/>`;
    if (!failing(check)) return `${open}><system-out>warning: ${message}</system-out></testcase>`;
    const kind = check.outcome === 'failed' ? 'failure' : 'error';
    return `${open}><${kind} type="${check.outcome}" message="${message}"/></testcase>`;
  });
  const count = (outcomes: Array<Check['outcome']>) => checks.filter((check) => failing(check) && outcomes.includes(check.outcome)).length;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="batchfit check" tests="${checks.length}" failures="${count(['failed'])}" errors="${count(['missing', 'unknown'])}">`,
    ...cases,
    '</testsuite>',
  ].join('\n');
}
