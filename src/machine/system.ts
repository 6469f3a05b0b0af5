/** The one door between this room and the computer, so that tests can stand another computer behind it. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, release, totalmem, type } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Bytes } from '../units.js';

/** How a tool ended. A tool that is not here or does not come back is a value, never an exception. */
export interface Run {
  stdout: string;
  stderr: string;
  /** Null when it did not start, was killed or did not end in time. */
  exitCode: number | null;
  /** `missing`: no such program. `timeout`: it hung and was killed. `unstartable`: there, but the system refuses to run it. */
  error: 'missing' | 'timeout' | 'unstartable' | null;
}

/** What the JavaScript runtime itself knows of the computer. */
export interface RuntimeFacts {
  os: string;
  /** The limit that the runtime read, null for none. */
  constrainedMemory: Bytes | null;
  /** Threads that the runtime thinks are worth starting. */
  availableParallelism: number;
  logicalCores: number;
  totalMemory: Bytes;
  freeMemory: Bytes;
}

/** What `systeminformation` adds. */
export interface HardwareFacts {
  os: string;
  cpuModel: string;
  physicalCores: number;
  logicalCores: number;
  availableMemory: Bytes;
}

export interface System {
  platform: NodeJS.Platform;
  arch: string;
  env: Record<string, string | undefined>;
  /** The text of a file, null when it cannot be read. */
  readFile(path: string): Promise<string | null>;
  /** Names in a folder, none when it cannot be read. */
  listDir(path: string): Promise<string[]>;
  /** Runs a program of the search path to its end or `timeoutMs`. */
  run(command: string, args: string[], timeoutMs: number): Promise<Run>;
  runtime(): RuntimeFacts;
  hardware(): Promise<HardwareFacts>;
}

/** Longer than a healthy driver needs to wake eight cards, shorter than a person's patience. */
export const TOOL_TIMEOUT_MS = 10_000;
const MAX_OUTPUT_CHARS = 8 * 1024 * 1024;

/** This computer. */
export function thisSystem(): System {
  return {
    platform: process.platform,
    arch: process.arch,
    env: process.env,
    readFile: (path) => readFile(path, 'utf8').catch(() => null),
    listDir: (path) => readdir(path).catch(() => []),
    run: runTool,
    runtime: () => ({
      os: `${type()} ${release()}`,
      constrainedMemory: constrainedMemory(),
      availableParallelism: availableParallelism(),
      logicalCores: cpus().length,
      totalMemory: totalmem(),
      freeMemory: freemem(),
    }),
    hardware: readHardware,
  };
}

/** Node prints 0, nothing at all or UINT64_MAX for "no limit". */
function constrainedMemory(): Bytes | null {
  const limit = process.constrainedMemory?.() ?? 0;
  return limit > 0 && limit < 2 ** 60 ? limit : null;
}

async function readHardware(): Promise<HardwareFacts> {
  const { default: si } = await import('systeminformation');
  const [cpu, os, memory] = await Promise.all([si.cpu(), si.osInfo(), si.mem()]);
  return {
    os: [os.distro, os.release].filter(Boolean).join(' '),
    cpuModel: [cpu.manufacturer, cpu.brand].filter(Boolean).join(' '),
    physicalCores: cpu.physicalCores,
    logicalCores: cpu.cores,
    availableMemory: memory.available,
  };
}

/** Whether no folder of the search path holds the program: looking costs far less than forking to be told. Windows adds extensions. */
function isNowhere(command: string): boolean {
  const { PATH } = process.env;
  if (process.platform === 'win32' || command.includes('/') || !PATH) return false;
  return !PATH.split(delimiter).some((folder) => existsSync(join(folder, command)));
}

/**
 * Runs a tool in a process group of its own. At the deadline the whole group is killed and its pipes are let go: a tool
 * stuck in the driver cannot be killed, and what it started would keep the pipes open.
 */
async function runTool(command: string, args: string[], timeoutMs: number): Promise<Run> {
  if (isNowhere(command)) return { stdout: '', stderr: '', exitCode: null, error: 'missing' };
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: process.platform !== 'win32', windowsHide: true });
    const output = { stdout: '', stderr: '' };
    // it is in a group of its own, so a Ctrl-C that ends this process does not reach it
    const killAtExit = () => killGroup(child.pid);
    process.once('exit', killAtExit);
    const finish = (exitCode: number | null, error: Run['error']) => {
      clearTimeout(timer);
      process.off('exit', killAtExit);
      resolve({ ...output, exitCode, error });
    };
    const timer = setTimeout(() => {
      killGroup(child.pid);
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      finish(null, 'timeout');
    }, timeoutMs);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < MAX_OUTPUT_CHARS) output[name] += text;
      });
    }
    child.on('error', (error: NodeJS.ErrnoException) => finish(null, error.code === 'ENOENT' ? 'missing' : 'unstartable'));
    child.on('close', (code) => finish(code, null));
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // It ended between the deadline and the signal.
  }
}
