/** Layers made of layers: repeats, residuals, branches. */
import type { Value } from '../../../builder.js';
import { add, addInPlace, mul } from '../../../ops/elementwise.js';
import { cat } from '../../../ops/views.js';
import { choice, flag, integer, layerList, specError } from '../fields.js';
import { type Layer, layer, shapeText } from '../layer.js';

/** The same layers several times, each with weights of its own. */
const repeat = layer(
  null,
  { times: integer(undefined, 0), of: layerList() },
  ({ run }, x, { times, of }) => Array.from({ length: times }).reduce<Value>((value) => run(of, value, 'of'), x),
  false,
);

const same = (a: Value, b: Value): boolean => shapeText(a.shape) === shapeText(b.shape);

/**
 * body(x) + x. Where the body changes the shape, the input goes through `shortcut` first; `optional: true` leaves the
 * addition out there. `inplace` adds into the body's output.
 */
const residual = layer(
  'body',
  { body: layerList(), shortcut: layerList([]), optional: flag(false), inplace: flag(false) },
  ({ g, place, run }, x, { body, shortcut, optional, inplace }) => {
    const main = run(body, x, 'body');
    if (optional && !same(main, x)) return main;
    const side = same(main, x) ? x : run(shortcut, x, 'shortcut', 'shortcut');
    if (!same(main, side)) {
      throw specError(
        place,
        `the body gives ${shapeText(main.shape)}, the shortcut ${shapeText(side.shape)}`,
        'give "shortcut" the layers that bring the input to the same shape',
      );
    }
    return inplace ? addInPlace(g, main, side) : add(g, main, side);
  },
);

/** Several paths from one input, joined by concatenating channels, adding or multiplying. */
const branches = layer(
  'of',
  { of: layerList(), join: choice(['concat', 'add', 'multiply'], 'concat') },
  ({ g, place, run }, x, { of, join }) => {
    const ends = of.map((path, index) => {
      if (!Array.isArray(path)) throw specError({ ...place, path: `${place.path}.of[${index}]` }, 'expected a list of layers');
      return run(path, x, `of[${index}]`, `branch${index + 1}`);
    });
    const [first, ...others] = ends;
    if (!first) throw specError(place, 'of: expected at least one branch');
    if (join === 'concat') {
      const dim = first.shape.length === 4 ? 1 : first.shape.length - 1;
      const rest = (value: Value) => shapeText(value.shape.filter((_, index) => index !== dim));
      const other = others.find((end) => rest(end) !== rest(first));
      if (other) throw specError(place, `can't concatenate ${shapeText(first.shape)} and ${shapeText(other.shape)}`);
      return cat(g, ends, dim);
    }
    const other = others.find((end) => !same(end, first));
    if (other) throw specError(place, `can't ${join} ${shapeText(first.shape)} and ${shapeText(other.shape)}`);
    return others.reduce((sum, end) => (join === 'add' ? add(g, sum, end) : mul(g, sum, end)), first);
  },
);

export const STRUCTURE_LAYERS: Record<string, Layer> = { repeat, residual, branches };
