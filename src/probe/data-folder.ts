/** Where batchfit keeps what it measured and installed: the user's own data folder, never somebody's project. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** XDG base directory specification: a relative XDG_DATA_HOME is to be ignored. */
export function dataFolder(): string {
  const chosen = process.env.XDG_DATA_HOME;
  return join(chosen && isAbsolute(chosen) ? chosen : join(homedir(), '.local', 'share'), 'batchfit');
}
