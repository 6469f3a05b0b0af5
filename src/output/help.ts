/** oclif's help, less its usage line that spells out every flag and so buries the arguments. */
import { CommandHelp, Help } from '@oclif/core/help';

class ShortUsage extends CommandHelp {
  protected override defaultUsage(): string {
    const args = Object.values(this.command.args ?? {}).map(({ name, required }) => {
      const word = name.toUpperCase();
      return required ? word : `[${word}]`;
    });
    const program = this.command.takesProgram === true ? ['--', 'COMMAND...'] : [];
    return ['<%= command.id %>', ...args, '[flags]', ...program].join(' ');
  }
}

export default class ShortUsageHelp extends Help {
  protected override CommandHelpClass = ShortUsage;
}
