import { Args } from '@oclif/core';
import { UsageError, type Warning } from '../errors.js';
import { table } from '../output/tables.js';
import type { EngineName, EngineStatus } from '../probe/engine.js';
import { createEngine, engineStatuses } from '../probe/engines/status.js';
import { type Answer, BaseCommand } from './base.js';

const INSTALLABLE = ['torch', 'tfjs', 'optuna'] as const;
type Installable = (typeof INSTALLABLE)[number];

export default class Engines extends BaseCommand {
  static override summary = 'Show the engines that run real training steps, or install one into your data folder';
  static override examples = [
    '<%= config.bin %> engines',
    '<%= config.bin %> engines install torch',
    '<%= config.bin %> engines install tfjs',
    '<%= config.bin %> engines install optuna',
  ];
  static override args = {
    action: Args.string({ options: ['install'], description: 'install an engine; the state of all without' }),
    name: Args.string({ options: [...INSTALLABLE], description: 'the engine to install' }),
  };

  protected async answer(): Promise<Answer> {
    const { action, name } = (await this.parse(Engines)).args;
    if (action === undefined) {
      const engines = await engineStatuses();
      const rows = engines.map((each) => [each.name, each.status, each.version ?? '-', each.device ?? '-', each.reason]);
      const align = rows[0]?.map(() => 'left' as const) ?? [];
      return {
        document: { engines, installed: null },
        text: () => table(['engine', 'status', 'version', 'device', 'where or why'], rows, { align }),
      };
    }
    if (name === undefined)
      throw new UsageError(
        'ENGINE_NAME_MISSING',
        'engines install: expected torch, tfjs or optuna',
        'write: batchfit engines install torch',
      );
    const { folder, version, alreadyThere, warnings } = await this.install(name as Installable);
    if (name === 'optuna') return installed(name, { folder, version, alreadyThere }, [], '');
    const engine = await createEngine(name as EngineName).status();
    const state = `${engine.status}${engine.version ? `, version ${engine.version}` : ''}${engine.device ? ` on ${engine.device}` : ''}`;
    return {
      ...installed(name, { folder, version, alreadyThere }, [engine], `\n${name}: ${state}`),
      warnings,
      ...(engine.status === 'ready' ? {} : { exitCode: 3 as const }),
    };
  }

  private async install(name: Installable): Promise<{ folder: string; version: string; alreadyThere: boolean; warnings: Warning[] }> {
    const options = { onProgress: (text: string) => this.progress(text), signal: this.interrupted };
    if (name === 'torch') {
      const { installTorch } = await import('../probe/engines/torch/install.js');
      return { ...(await installTorch(options)), warnings: [] };
    }
    if (name === 'optuna') {
      const { installOptuna } = await import('../probe/tune/python.js');
      return { ...(await installOptuna(options)), warnings: [] };
    }
    const { installTfjs } = await import('../probe/engines/tfjs/install.js');
    const { folder, backend, alreadyThere, warnings } = await installTfjs(options);
    return { folder, version: backend, alreadyThere, warnings };
  }
}

function installed(
  name: string,
  made: { folder: string; version: string; alreadyThere: boolean },
  engines: EngineStatus[],
  state: string,
): Answer {
  const { folder, version, alreadyThere } = made;
  return {
    document: { engines, installed: { name, folder, version, alreadyThere } },
    text: `${name} ${version} ${alreadyThere ? 'was already installed' : 'is installed'} in ${folder}${state}`,
  };
}
