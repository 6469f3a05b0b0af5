/** What `batchfit doctor` finds wrong, and how it says so. */
import type { z } from 'zod';
import { renderMachine } from './detect-text.js';
import type { document } from './documents/doctor.js';

type Doctor = z.infer<typeof document>;
type Problem = Doctor['problems'][number];

/** Everything that keeps something from working here, each with the step that cures it. */
export function findProblems({ node, programs, dataFolder, tools, devices, engines }: Omit<Doctor, 'problems'>): Problem[] {
  const problems: Problem[] = [];
  const add = (subject: string, message: string, fix: string) => problems.push({ subject, message, fix });

  if (!node.supported) add('node', `Node ${node.version} is here, ${node.required} is needed`, `install Node ${node.required}`);
  if (!dataFolder.writable) {
    add('data folder', `${dataFolder.path} cannot be written`, 'set XDG_DATA_HOME to a folder of yours: engines are installed there');
  }
  for (const { name, path } of programs) {
    if (path === null) add(name, `${name} is not on the PATH`, `install ${name}: "batchfit engines install" needs it`);
  }
  for (const { name, status, reason } of tools) {
    if (status === 'failed' || status === 'timeout') {
      const end = status === 'timeout' ? 'does not answer' : 'fails';
      add(name, `${name} ${end}${reason ? `: ${reason}` : ''}`, `run ${name} by hand; until it answers, name the device with --device`);
    }
  }
  for (const { id, visible, note } of devices) {
    if (!visible) add(id, `${id} is hidden from programs${note ? `: ${note}` : ''}`, 'check CUDA_VISIBLE_DEVICES and its kin');
  }
  const accelerator = devices.find(({ kind, visible }) => kind !== 'cpu' && visible);
  for (const { name, status, device, reason } of engines) {
    if (status !== 'ready') add(name, `the ${name} engine is ${status}${reason ? `: ${reason}` : ''}`, `batchfit engines install ${name}`);
    else if (accelerator && device === 'cpu') {
      add(
        name,
        `the ${name} engine runs on the CPU, though ${accelerator.id} is here`,
        `install a build of ${name} for ${accelerator.name}`,
      );
    }
  }
  return problems;
}

export function renderDoctor(answer: Doctor): string {
  const { node, programs, dataFolder, memoryCap, problems } = answer;
  const lines = [
    `Node ${node.version} (${node.required} is needed)`,
    ...programs.map(({ name, path }) => `${name}: ${path ?? 'not found'}`),
    `engines live in ${dataFolder.path}${dataFolder.writable ? '' : ', which cannot be written'}`,
    `--memory-cap: ${memoryCap.cgroup ? 'a cgroup' : `no cgroup, a limit of the process instead (${memoryCap.reason})`}`,
    renderMachine(answer),
    '',
    problems.length === 0 ? 'nothing is missing' : `to mend: ${problems.length}`,
    ...problems.map(({ message, fix }) => `- ${message}\n  ${fix}`),
  ];
  return lines.join('\n');
}
