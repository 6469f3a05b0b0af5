/** What the parent asks of the child, on its standard input. */
import type { ModelGraph } from '../../../model/graph.js';
import type { SymbolValues } from '../../../model/sizes.js';
import type { Setup } from '../../../setup.js';
import type { NoiseOrder } from '../../noise/order.js';
import type { Flavor } from './locate.js';

interface LoadOrder {
  flavor: Flavor;
  /** Main file of the TensorFlow.js package to load. */
  entry: string;
  /** Without a graph the child only says what it loaded. */
  graph: null;
}

export interface TrainingOrder extends Omit<LoadOrder, 'graph'> {
  graph: ModelGraph;
  setup: Setup;
  sizes: SymbolValues;
  steps: number;
  warmupSteps: number;
  /** Set where gradient norms are measured instead. */
  noise?: NoiseOrder;
}

export type ChildOrder = LoadOrder | TrainingOrder;
