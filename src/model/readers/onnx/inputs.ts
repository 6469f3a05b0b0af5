/** Inputs of an ONNX graph: the first side is the batch; other open sides are the caller's to choose. */
import { UsageError } from '../../../errors.js';
import type { Size } from '../../graph.js';
import type { Context } from './context.js';
import type { Document, Port } from './document.js';

/** The batch of the export where all inputs have the same number first, else null. */
export function fixedBatchOf(document: Document): number | null {
  const first = dataPorts(document).map(({ shape }) => shape?.[0]);
  const [batch] = first;
  return typeof batch === 'number' && first.every((each) => each === batch) ? batch : null;
}

/** Inputs that are no initializers: old files list those, too. */
function dataPorts({ inputs, initializers }: Document): Port[] {
  return inputs.filter(({ name }) => !initializers.has(name));
}

/** Declares the inputs. Throws UsageError where a side is open, or an option has no use. */
export function declareInputs(c: Context, model: string): void {
  const { image, seq } = c.options;
  const ports = dataPorts(c.document);
  const ranks = ports.map(({ shape }) => shape?.length ?? 0);
  if (ports.length === 0) throw new UsageError('BAD_MODEL', `${c.file}: the graph has no inputs`, 'export a model that takes data');
  if (image && !ranks.includes(4)) throw refused('--image', `${model} has no input of images`);
  if (seq !== undefined && !ranks.some((rank) => rank === 2 || rank === 3)) throw refused('--seq', `${model} has no input of sequences`);
  for (const port of ports) {
    if (!port.shape || port.shape.length === 0)
      throw new UsageError('BAD_MODEL', `${c.file}: input "${port.name}" has no shape`, 'export the model with the shapes of its inputs');
    const sides = port.shape.slice(1).map((side, index) => chosenSide(c, port, side, index));
    const shape: Size[] = ['B', ...sides];
    const high = port.dtype === 'model' ? undefined : rowsOf(c, port.name);
    // Names of values may not begin like a literal.
    const value = c.g.input(port.name.replace(/^[%=]+/, ''), shape, port.dtype, 'data', high);
    c.entries.set(port.name, { value, dtype: port.dtype });
    const [height, width] = sides.slice(-2) as [number, number];
    if (sides.length === 3) {
      c.g.symbol('H', { default: height, min: height, max: height });
      c.g.symbol('W', { default: width, min: width, max: width });
    } else if (port.dtype !== 'model' && sides.length === 1)
      c.g.symbol('S', { default: sides[0] as number, min: sides[0] as number, max: sides[0] as number });
  }
}

function chosenSide(c: Context, port: Port, side: number | string | null, index: number): number {
  const { image, seq } = c.options;
  const rank = port.shape?.length ?? 0;
  if (rank === 4 && index > 0 && image) return image[index - 1] as number;
  if ((rank === 2 || rank === 3) && index === 0 && seq !== undefined && (port.dtype !== 'model' || rank === 3 || typeof side !== 'number'))
    return seq;
  if (typeof side === 'number' && side > 0) return side;
  const flag = rank === 4 ? '--image N' : '--seq N';
  const name = side === null ? 'no name' : `the name "${side}"`;
  throw new UsageError(
    'BAD_MODEL',
    `${c.file}: input "${port.name}": side ${index + 1} is open (it has ${name})`,
    (rank === 4 && index > 0) || (rank < 4 && index === 0) ? `give ${flag}` : 'export the model with this side fixed',
  );
}

/** Rows of the table that an input of integers looks up; 2 for a mask. */
function rowsOf(c: Context, name: string): number {
  const tables = (c.users.get(name) ?? []).filter(({ op, inputs }) => op === 'Gather' && inputs[1] === name);
  const rows = tables.map(({ inputs }) => c.document.initializers.get(inputs[0] ?? '')?.shape[0] ?? 2);
  return rows.length > 0 ? Math.min(...rows) : 2;
}

function refused(flag: string, problem: string): UsageError {
  return new UsageError('BAD_MODEL_OPTION', `${flag}: ${problem}`, `leave ${flag} out`);
}
