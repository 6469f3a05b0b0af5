import { Args } from '@oclif/core';
import { listDeviceProfiles, loadDeviceProfile } from '../machine/profiles.js';
import { renderDevice, summarizeDevice } from '../output/device-text.js';
import { table } from '../output/tables.js';
import { type Answer, BaseCommand } from './base.js';

interface Entry {
  name: string;
  summary: string;
}

/** One kind of shipped profile. */
interface Library {
  list(): Promise<Entry[]>;
  /** Throws UsageError with the nearest names when there is no such profile. */
  show(name: string): Promise<Entry & { profile: Record<string, unknown>; text: string }>;
}

const LIBRARIES: Record<string, Library> = {
  devices: {
    list: async () => (await listDeviceProfiles()).map((profile) => ({ name: profile.name, summary: summarizeDevice(profile) })),
    show: async (name) => {
      const profile = await loadDeviceProfile(name);
      return { name: profile.name, summary: summarizeDevice(profile), profile: { ...profile }, text: renderDevice(profile) };
    },
  },
};

export default class Profiles extends BaseCommand {
  static override summary = 'List the profiles that batchfit ships, or show one with the source of every figure';
  static override examples = ['<%= config.bin %> profiles devices', '<%= config.bin %> profiles devices rtx-3090'];
  static override args = {
    kind: Args.string({ options: Object.keys(LIBRARIES), description: 'which profiles; all without' }),
    name: Args.string({ description: 'the one to show' }),
  };

  protected async answer(): Promise<Answer> {
    const { kind, name } = (await this.parse(Profiles)).args;
    const library = kind === undefined ? undefined : LIBRARIES[kind];
    if (kind !== undefined && library && name !== undefined) {
      const { profile, text, ...entry } = await library.show(name);
      return { document: { profiles: [{ kind, ...entry }], profile }, text };
    }
    const libraries = kind !== undefined && library ? [[kind, library] as const] : Object.entries(LIBRARIES);
    const profiles = (
      await Promise.all(libraries.map(async ([kind, { list }]) => (await list()).map((entry) => ({ kind, ...entry }))))
    ).flat();
    const rows = profiles.map(({ kind, name, summary }) => [...(libraries.length > 1 ? [kind] : []), name, summary]);
    const head = [...(libraries.length > 1 ? ['kind'] : []), 'name', 'what it is'];
    return { document: { profiles, profile: null }, text: () => table(head, rows, { align: head.map(() => 'left') }) };
  }
}
