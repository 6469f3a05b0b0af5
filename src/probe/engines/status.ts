/** The state of every engine on this machine, for `detect` and `doctor`. */
import type { EngineStatus } from '../engine.js';
import { createTfjsEngine } from './tfjs/engine.js';

/** One entry an engine, in the order of the contract; a broken engine is a state with its reason, never an error. */
export async function engineStatuses(): Promise<EngineStatus[]> {
  return Promise.all([createTfjsEngine()].map((engine) => engine.status()));
}
