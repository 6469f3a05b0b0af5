/** oclif's hook for a command that is not there, and for `batchfit help COMMAND`, which people type. */
import type { Hook } from '@oclif/core/interfaces';
import { UsageError } from '../../errors.js';
import { nearestNames } from '../../nearest.js';
import ShortUsageHelp from '../../output/help.js';

const refuseUnknownCommand: Hook<'command_not_found'> = async ({ id, config, argv }) => {
  // oclif joins the words that may name a command by colons
  const [name = '', ...words] = id.split(':');
  if (name === 'help') return new ShortUsageHelp(config).showHelp([...words, ...(argv ?? [])]);
  const near = nearestNames(name, config.commandIDs);
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `the commands are ${config.commandIDs.join(', ')}`;
  throw new UsageError('UNKNOWN_COMMAND', `unknown command: ${name}`, hint);
};

export default refuseUnknownCommand;
