/** The engines by name, and the state of those that have to be installed. */
import type { Engine, EngineName, EngineStatus } from '../engine.js';
import { createCommandEngine } from './command/engine.js';
import { createTfjsEngine } from './tfjs/engine.js';
import { createTorchEngine } from './torch/engine.js';

export function createEngine(name: EngineName): Engine {
  return { torch: createTorchEngine, tfjs: createTfjsEngine, command: createCommandEngine }[name]();
}

/** One entry an engine, in the order of the contract; a broken engine is a state with its reason, never an error. */
export async function engineStatuses(): Promise<EngineStatus[]> {
  return Promise.all([createTorchEngine(), createTfjsEngine()].map((engine) => engine.status()));
}
