import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { detectMachine } from '../machine/detect.js';
import { findProblems, renderDoctor } from '../output/doctor.js';
import { makeMemoryCgroup, removeMemoryCgroup } from '../probe/cgroup.js';
import { engineStatuses } from '../probe/engines/status.js';
import { engineFolder } from '../probe/engines/tfjs/folder.js';
import { searchProgram } from '../probe/program.js';
import { GIB } from '../units.js';
import { type Answer, BaseCommand } from './base.js';

/** What `engines install` runs. */
const PROGRAMS = ['npm', 'python3'];

export default class Doctor extends BaseCommand {
  static override summary = 'Show what is here, what is missing, and how to fix it';
  static override examples = ['<%= config.bin %> doctor', '<%= config.bin %> doctor --json'];

  protected async answer(): Promise<Answer> {
    await this.parse(Doctor);
    this.progress('reading devices and engines');
    const [machine, engines] = await Promise.all([detectMachine(), engineStatuses()]);
    const { host, devices, tools, warnings } = machine;
    const found = {
      node: nodeVersion(this.config.pjson.engines?.node ?? ''),
      programs: PROGRAMS.map((name) => ({ name, path: searchProgram(name) })),
      dataFolder: dataFolder(),
      memoryCap: memoryCap(),
      host,
      devices,
      tools,
      engines,
    };
    const document = { ...found, problems: findProblems(found) };
    return { document, warnings, text: () => renderDoctor(document) };
  }
}

/** `required` is the package's own range, which is a least version: ">=20.19". */
function nodeVersion(required: string): { version: string; required: string; supported: boolean } {
  const version = process.versions.node;
  const supported = version.localeCompare(required.replace('>=', ''), 'en', { numeric: true }) >= 0;
  return { version, required, supported };
}

/** The folder itself may still have to be made, in the nearest one above that is there. */
function dataFolder(): { path: string; writable: boolean } {
  const path = dirname(engineFolder('tfjs'));
  let nearest = path;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  try {
    accessSync(nearest, constants.W_OK);
    return { path, writable: statSync(nearest).isDirectory() };
  } catch {
    return { path, writable: false };
  }
}

function memoryCap(): { cgroup: boolean; reason: string | null } {
  const group = makeMemoryCgroup(GIB);
  if ('reason' in group) return { cgroup: false, reason: group.reason };
  removeMemoryCgroup(group);
  return { cgroup: true, reason: null };
}
