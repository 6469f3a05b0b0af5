import { detectMachine } from '../machine/detect.js';
import { renderMachine } from '../output/detect-text.js';
import { engineStatuses } from '../probe/engines/status.js';
import { type Answer, BaseCommand } from './base.js';

export default class Detect extends BaseCommand {
  static override summary = 'Show what this machine has for training: devices, memory and cores under container limits, engines';
  static override examples = ['<%= config.bin %> detect', '<%= config.bin %> detect --json'];

  protected async answer(): Promise<Answer> {
    await this.parse(Detect);
    this.progress('reading devices and engines');
    const [{ host, devices, tools, warnings }, engines] = await Promise.all([detectMachine(), engineStatuses()]);
    const document = { host, devices, tools, engines };
    return { document, warnings, text: () => renderMachine(document) };
  }
}
