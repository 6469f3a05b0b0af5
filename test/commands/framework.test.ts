import { expect, it } from 'vitest';
import { withFramework } from '../../src/commands/input/framework.js';
import { DEFAULT_SETUP } from '../../src/setup.js';

it.each([
  ['keras', undefined, 'tensorflow'],
  ['tfjs', undefined, 'tensorflow'],
  ['keras', 'torch', 'torch'],
  ['onnx', undefined, 'torch'],
  ['spec', undefined, 'torch'],
])('a model of the format %s with --framework %s is trained by %s', (format, asked, framework) => {
  expect(withFramework(DEFAULT_SETUP, asked, { source: { format, reference: 'model' } }).framework).toBe(framework);
});
