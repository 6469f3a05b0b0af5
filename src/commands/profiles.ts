import { Args } from '@oclif/core';
import { listDeviceProfiles, loadDeviceProfile } from '../machine/profiles.js';
import { readModel } from '../model/open.js';
import { renderDevice, summarizeDevice } from '../output/device-text.js';
import { describeGraph, listProfiles, renderGraph, searchModels, summarizeGraph } from '../output/model-text.js';
import { renderRecipe, summarizeRecipe } from '../output/recipe-text.js';
import { table } from '../output/tables.js';
import { type Answer, BaseCommand } from './base.js';
import { readRecipe, readRecipes } from './input/recipes.js';

interface Entry {
  name: string;
  summary: string;
}

/** One kind of shipped profile. */
interface Library {
  list(): Promise<Entry[]>;
  /** Those whose names hold the text, where the list is too long to be read. */
  search?(text: string): Promise<Entry[]>;
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
  models: {
    list: listProfiles,
    search: searchModels,
    show: async (name) => {
      const graph = await readModel(name);
      return { name, summary: summarizeGraph(graph), profile: describeGraph(graph), text: renderGraph(graph) };
    },
  },
  recipes: {
    list: async () => (await readRecipes()).map((recipe) => ({ name: recipe.name, summary: summarizeRecipe(recipe) })),
    show: async (name) => {
      const recipe = await readRecipe(name);
      return { name: recipe.name, summary: summarizeRecipe(recipe), profile: { ...recipe }, text: renderRecipe(recipe) };
    },
  },
};

export default class Profiles extends BaseCommand {
  static override summary = 'List the profiles that batchfit ships, or show one with the source of every figure';
  static override examples = [
    '<%= config.bin %> profiles devices',
    '<%= config.bin %> profiles devices rtx-3090',
    '<%= config.bin %> profiles models vit_base',
    '<%= config.bin %> profiles models timm:resnet50',
  ];
  static override args = {
    kind: Args.string({ options: Object.keys(LIBRARIES), description: 'which profiles; all without' }),
    name: Args.string({ description: 'the one to show; with models also a part of the names to list' }),
  };

  protected async answer(): Promise<Answer> {
    const { kind, name } = (await this.parse(Profiles)).args;
    if (kind === undefined) return this.overview();
    const library = LIBRARIES[kind] as Library;
    const found = await (library.search?.(name ?? '') ?? library.list());
    const isSearch = library.search !== undefined && found.length > 0 && !found.some((entry) => entry.name === name);
    if (name !== undefined && !isSearch) {
      const { profile, text, ...entry } = await library.show(name);
      const others = library.search ? found.filter((other) => other.name !== name) : [];
      const also = others.length > 0 ? `\n\n${others.length} more hold its name: ${others.map((other) => other.name).join(', ')}` : '';
      return { document: { profiles: [entry, ...others].map((each) => ({ kind, ...each })), profile }, text: text + also };
    }
    const rows = found.map((entry) => [entry.name, entry.summary]);
    const profiles = found.map((entry) => ({ kind, ...entry }));
    return { document: { profiles, profile: null }, text: () => table(['name', 'what it is'], rows, { align: ['left', 'left'] }) };
  }

  private async overview(): Promise<Answer> {
    const lists = Object.entries(LIBRARIES).map(async ([kind, { list }]) => (await list()).map((entry) => ({ kind, ...entry })));
    const profiles = (await Promise.all(lists)).flat();
    const rows = profiles.map(({ kind, name, summary }) => [kind, name, summary]);
    const text = () => table(['kind', 'name', 'what it is'], rows, { align: ['left', 'left', 'left'] });
    const more = `the graphs of timm and torchvision too: ${this.config.bin} profiles models [TEXT]`;
    return { document: { profiles, profile: null }, text: () => `${text()}\n\n${more}` };
  }
}
