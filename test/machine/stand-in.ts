/** Another computer behind the System interface: files as a record, tools as functions over recorded outputs. */
import { readFileSync } from 'node:fs';
import type { HardwareFacts, Run, RuntimeFacts, System } from '../../src/machine/system.js';

const GIB = 2 ** 30;

export type Tool = (args: string[]) => Partial<Run>;

export interface StandIn {
  platform?: NodeJS.Platform;
  arch?: string;
  env?: Record<string, string>;
  files?: Record<string, string>;
  tools?: Record<string, Tool>;
  runtime?: Partial<RuntimeFacts>;
  hardware?: Partial<HardwareFacts>;
}

export const fixture = (path: string) => readFileSync(new URL(`../fixtures/machine/${path}`, import.meta.url), 'utf8');

/** A Linux machine with 8 cores and 64 GiB, of which 48 are available, unless told otherwise. */
export function standIn(given: StandIn = {}): System & { calls: string[] } {
  const calls: string[] = [];
  const files: Record<string, string> = { '/proc/meminfo': meminfo(64 * GIB, 48 * GIB), ...given.files };
  const platform = given.platform ?? 'linux';
  return {
    calls,
    platform,
    arch: given.arch ?? 'x64',
    env: given.env ?? {},
    readFile: async (path) => (platform === 'linux' ? (files[path] ?? null) : null),
    listDir: async (path) => [
      ...new Set(Object.keys(files).flatMap((file) => (file.startsWith(`${path}/`) ? [file.slice(path.length + 1).split('/')[0]!] : []))),
    ],
    run: async (command, args) => {
      calls.push([command, ...args].join(' '));
      const tool = given.tools?.[command];
      return { stdout: '', stderr: '', exitCode: null, error: tool ? null : 'missing', ...(tool ? { exitCode: 0, ...tool(args) } : {}) };
    },
    runtime: () => ({
      os: 'Linux 6.8.0',
      constrainedMemory: null,
      availableParallelism: 8,
      logicalCores: 8,
      totalMemory: 64 * GIB,
      freeMemory: 40 * GIB,
      ...given.runtime,
    }),
    hardware: async () => ({
      os: 'Ubuntu 24.04',
      cpuModel: 'AMD EPYC 7763',
      physicalCores: 4,
      logicalCores: 8,
      availableMemory: 48 * GIB,
      ...given.hardware,
    }),
  };
}

export function meminfo(total: number, available: number): string {
  return `MemTotal:       ${total / 1024} kB\nMemFree:        ${available / 2048} kB\nMemAvailable:   ${available / 1024} kB\n`;
}

export interface Recording {
  /** Columns with units, as --format=csv prints them. */
  query: string;
  apps?: string;
  list?: string;
  xml?: string;
  table?: string;
}

/** An nvidia-smi that answers from recorded outputs: it knows the fields that the recording has and refuses all others. */
export function nvidiaSmi(recording: Recording): Tool {
  return (args) => {
    const [first = ''] = args;
    if (first.startsWith('--query-gpu=')) return answer(recording.query, first.slice('--query-gpu='.length));
    if (first.startsWith('--query-compute-apps=')) {
      const fields = first.slice('--query-compute-apps='.length).replace('used_memory', 'used_gpu_memory');
      return recording.apps === undefined ? {} : answer(recording.apps, fields);
    }
    if (first === '-L') return { stdout: recording.list ?? '' };
    if (first === '-q') return { stdout: recording.xml ?? '' };
    return { stdout: recording.table ?? '' };
  };
}

function answer(csv: string, fields: string): Partial<Run> {
  const [head = '', ...rows] = csv.trim().split(/\r?\n/);
  const names = head.split(', ').map((name) => name.replace(/ \[.*\]$/, ''));
  const unknown = fields.split(',').find((field) => !names.includes(field));
  if (unknown) return { stdout: `Field "${unknown}" is not a valid field to query.\n`, exitCode: 2 };
  const lines = rows.map((row) => {
    const cells = row.split(', ');
    return fields
      .split(',')
      .map((field) => cells[names.indexOf(field)]!.replace(/ (MiB|W|%)$/, ''))
      .join(', ');
  });
  return { stdout: `${lines.join('\n')}\n` };
}

/** The recording of a machine under test/fixtures/machine/nvidia. */
export function recorded(name: string, parts: Array<'apps' | 'list' | 'xml' | 'table'> = []): Recording {
  const files = { apps: 'apps.csv', list: 'list.txt', xml: 'q-x.xml', table: 'table.txt' };
  return {
    query: fixture(`nvidia/${name}.query.csv`),
    ...Object.fromEntries(parts.map((part) => [part, fixture(`nvidia/${name}.${files[part]}`)])),
  };
}
