/** Where this engine lives: the user's own data folder, never somebody's project. */
import { join } from 'node:path';
import { dataFolder } from '../../data-folder.js';

export function engineFolder(name: 'tfjs'): string {
  return join(dataFolder(), 'engines', name);
}
