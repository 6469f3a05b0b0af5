/**
 * One child process from start to end: its own process group, a cap on its memory, a time limit, its report on file
 * descriptor 3, and nothing of it left behind, however it or its parent ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Warning } from '../errors.js';
import type { Bytes, Seconds } from '../units.js';
import { cgroupOomKills, type MemoryCgroup, removeMemoryCgroup, surroundingOomKills } from './cgroup.js';
import { applyMemoryCap, type MemoryCap } from './memory-cap.js';
import { processesOf, residentMemory, signalProcesses } from './processes.js';
import { findProgram } from './program.js';

export interface ChildRequest {
  /** Program (a path, or looked up on PATH) and its arguments. */
  command: [string, ...string[]];
  environment?: Record<string, string>;
  workingDirectory?: string;
  /** Written to the child's standard input, which is then closed. */
  input?: string;
  timeoutSeconds: Seconds;
  memoryCapBytes: Bytes | null;
  signal: AbortSignal;
  /** Ends the child as a time limit does, and its result still counts. */
  stop?: AbortSignal;
  /** Hears standard output as it comes. */
  onStdout?: (text: string) => void;
}

export interface ChildResult {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  /** What came through file descriptor 3. */
  reportText: string;
  /** The last 64 KiB of each stream. */
  stdout: string;
  stderr: string;
  /** Highest resident memory of the process tree seen; null where it cannot be read. */
  processPeakBytes: Bytes | null;
  /** Out-of-memory kills that the kernel counted: in the child's own cgroup, or anywhere around it while it ran. */
  oomKills: { inChild: number | null; around: number | null };
  cap: MemoryCap;
  seconds: Seconds;
  warnings: Warning[];
}

/**
 * glibc raises its mmap threshold while a process runs, so that whether a batch fits under a cap depends on what was
 * freed before it, and a larger batch may fit where a smaller one did not. A fixed threshold makes it monotone.
 */
export const CHILD_ENVIRONMENT: Record<string, string> = { MALLOC_MMAP_THRESHOLD_: '65536' };

const GRACE_MS = 5000;
const POLL_MS = 50;
const TAIL_CHARACTERS = 65536;

const live = new Set<() => void>();
let watchingExit = false;

/** Runs the child to its end. Throws MissingError when the program is not there, the signal's reason when aborted. */
export async function runChild(request: ChildRequest): Promise<ChildResult> {
  request.signal.throwIfAborted();
  const program = findProgram(request.command[0]);
  const started = performance.now();
  const aroundBefore = surroundingOomKills();
  const cap = applyMemoryCap(request.memoryCapBytes, [program, ...request.command.slice(1)]);
  const child = spawn(cap.command[0], cap.command.slice(1), {
    cwd: request.workingDirectory,
    env: { ...CHILD_ENVIRONMENT, ...process.env, ...cap.environment, ...request.environment },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  const stop = startStopping(child, cap.cgroup, request);
  const poll = pollMemory(child, cap.cgroup);
  if (request.onStdout) child.stdout.setEncoding('utf8').on('data', request.onStdout);
  const [stdout, stderr, reportText] = [1, 2, 3].map((fd) => collect(child.stdio[fd] as Readable, fd === 3 ? Infinity : TAIL_CHARACTERS));
  child.stdin?.on('error', () => {}); // A child that never reads its input is no error of ours.
  child.stdin?.end(request.input ?? '');
  try {
    const [exitCode, signal] = await ended(child, cap.cgroup);
    const inChild = cap.cgroup ? cgroupOomKills(cap.cgroup) : null;
    const aroundAfter = surroundingOomKills();
    request.signal.throwIfAborted();
    return {
      exitCode,
      signal,
      timedOut: stop.timedOut(),
      reportText: reportText?.() ?? '',
      stdout: stdout?.() ?? '',
      stderr: stderr?.() ?? '',
      processPeakBytes: poll.end(),
      oomKills: { inChild, around: aroundBefore === null || aroundAfter === null ? null : aroundAfter - aroundBefore },
      cap,
      seconds: (performance.now() - started) / 1000,
      warnings: cap.warnings,
    };
  } finally {
    poll.end();
    stop.end();
    if (cap.cgroup) await removeWhenEmpty(cap.cgroup);
  }
}

/** Resolves when the child is gone, everything it started is gone too, and its streams are read to their end. */
async function ended(child: ChildProcess, cgroup: MemoryCgroup | null): Promise<[number | null, NodeJS.Signals | null]> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const exit = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve([code, signal]));
  });
  // A process that the child left running would hold memory through the next trial.
  if (child.pid) signalProcesses(child.pid, cgroup, 'SIGKILL');
  await closed;
  return exit;
}

/** SIGTERM, then SIGKILL after five seconds, when time is up or the caller aborts; SIGKILL when this process exits. */
function startStopping(child: ChildProcess, cgroup: MemoryCgroup | null, request: ChildRequest) {
  let timedOut = false;
  let killer: NodeJS.Timeout | undefined;
  const send = (signal: NodeJS.Signals) => {
    if (child.pid) signalProcesses(child.pid, cgroup, signal);
  };
  const terminate = () => {
    send('SIGTERM');
    killer ??= setTimeout(() => send('SIGKILL'), GRACE_MS);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    terminate();
  }, request.timeoutSeconds * 1000);
  const atExit = () => {
    send('SIGKILL');
    if (cgroup) removeMemoryCgroup(cgroup);
  };
  request.signal.addEventListener('abort', terminate);
  request.stop?.addEventListener('abort', terminate);
  live.add(atExit);
  if (!watchingExit) {
    process.on('exit', () => {
      for (const kill of live) kill();
    });
  }
  watchingExit = true;
  return {
    timedOut: () => timedOut,
    end() {
      clearTimeout(timer);
      clearTimeout(killer);
      request.signal.removeEventListener('abort', terminate);
      request.stop?.removeEventListener('abort', terminate);
      live.delete(atExit);
    },
  };
}

function pollMemory(child: ChildProcess, cgroup: MemoryCgroup | null) {
  let peakBytes = 0;
  const timer = setInterval(() => {
    if (!child.pid) return;
    const { totalBytes, highWaterBytes } = residentMemory(processesOf(child.pid, cgroup));
    peakBytes = Math.max(peakBytes, totalBytes, highWaterBytes);
  }, POLL_MS);
  return {
    end() {
      clearInterval(timer);
      return peakBytes || null;
    },
  };
}

/** Keeps the last characters of a stream. */
function collect(stream: Readable, limit: number): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > limit) text = text.slice(-limit);
  });
  stream.on('error', () => {});
  return () => text;
}

async function removeWhenEmpty(cgroup: MemoryCgroup): Promise<void> {
  for (let attempt = 0; attempt < 40 && !removeMemoryCgroup(cgroup); attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
