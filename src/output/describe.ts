/** Models, devices and setups as documents show them. */
import type { TargetDevice } from '../machine/machine.js';
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';

export function describeDevice(target: TargetDevice): Record<string, unknown> {
  const { name, kind, count, totalBytes, usableBytes, computeCapability, source } = target;
  return { name, kind, count, totalBytes, usableBytes, computeCapability, source };
}

export function describeModel(model: ModelGraph, counts: { parameters: number; trainableParameters: number }): Record<string, unknown> {
  return { name: model.name, parameters: counts.parameters, trainableParameters: counts.trainableParameters, source: model.source };
}

/** The setup with the sizes that the graph stands for. */
export function describeSetup(model: ModelGraph, setup: Setup): Record<string, unknown> {
  const { H, W, S } = model.symbols;
  return { ...setup, image: H && W ? [H.default, W.default] : null, seq: S?.default ?? null };
}
