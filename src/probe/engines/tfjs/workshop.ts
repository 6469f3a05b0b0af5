/** What the ways of installing share: the unfinished folder, how to say where we are, and how tools are run. */
import { type ChildResult, runChild } from '../../child.js';

export interface Workshop {
  folder: string;
  say: (text: string) => void;
  signal: AbortSignal;
}

export function runTool(
  shop: Workshop,
  command: [string, ...string[]],
  timeoutSeconds: number,
  workingDirectory: string = shop.folder,
  environment: Record<string, string> = {},
): Promise<ChildResult> {
  return runChild({ command, workingDirectory, environment, timeoutSeconds, memoryCapBytes: null, signal: shop.signal });
}

/** The line that says what went wrong, from what a tool printed. */
export function errorLine(result: ChildResult): string {
  const lines = `${result.stdout}\n${result.stderr}`
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  const error = lines.find((line) => /^npm error (?!code)|\berror:/i.test(line));
  return (error ?? lines.at(-1) ?? `exit code ${result.exitCode}`).slice(0, 300);
}
