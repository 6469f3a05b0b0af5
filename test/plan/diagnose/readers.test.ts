import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { diagnoseLog } from '../../../src/plan/diagnose/diagnose.js';
import { type Columns, readTrainingLog } from '../../../src/plan/diagnose/readers/index.js';

const folder = new URL('../../fixtures/logs/', import.meta.url);
const bytesOf = (file: string) => new Uint8Array(readFileSync(new URL(file, folder)));
const read = (file: string, columns?: Columns) => readTrainingLog([{ path: file, bytes: bytesOf(file) }], columns);
const text = (content: string, columns?: Columns) => readTrainingLog([{ path: 'log', bytes: new TextEncoder().encode(content) }], columns);

describe('real logs are called right', () => {
  const files = readdirSync(folder).filter((file) => /^(hf-trainer|keras|lightning|tensorboard)-/.test(file));
  it.each(files)('%s', (file) => {
    const [, format, kind] = /^(hf-trainer|keras|lightning|tensorboard)-(.*)\.\w+$/.exec(file)!;
    const log = read(file);
    expect(log.format).toBe(format);
    expect(diagnoseLog(log).verdict).toBe(kind);
  });
});

describe('Hugging Face Trainer', () => {
  it('parts training, evaluation and final rows', () => {
    const log = read('hf-trainer-healthy.json');
    expect(log).toMatchObject({ format: 'hf-trainer', unit: 'step', stepsPerEpoch: 41 });
    expect(log.train.length).toBe(49);
    expect(log.validation.length).toBe(20);
    expect(log.gradientNorm.length).toBe(log.train.length);
    expect(log.learningRate.length).toBe(log.train.length);
  });
  it('reads NaN as Python writes it, and says when the NaN filter hid losses', () => {
    const state = (loss: string) =>
      `{"log_history": [${Array.from({ length: 8 }, (_, i) => `{"step": ${i + 1}, "epoch": ${i + 1}, "loss": ${i > 4 ? loss : 2 - i / 10}}`).join(', ')}]}`;
    expect(diagnoseLog(text(state('NaN'))).verdict).toBe('diverging');
    const filtered = text(state('0.0'));
    expect(filtered.warnings.map(({ code }) => code)).toContain('NAN_FILTER');
    expect(diagnoseLog(filtered).verdict).toBe('diverging');
  });
});

describe('tables', () => {
  it("finds Lightning's sparse columns and the steps of an epoch", () => {
    const log = read('lightning-periodic.csv');
    expect(log).toMatchObject({ format: 'lightning', names: { train: 'train_loss', validation: 'val_loss' } });
    expect(Math.abs(log.stepsPerEpoch! - 41)).toBeLessThanOrEqual(1);
    expect(diagnoseLog(log).findings[0]!.evidence[0]).toContain('which is one epoch');
  });
  it('counts an appended Keras run on', () => {
    const log = text('epoch,loss,val_loss\n0,2,2.1\n1,1.5,1.6\n2,1,1.2\n0,0.9,1.1\n1,0.8,1\n2,0.75,0.98\n');
    expect(log.format).toBe('keras');
    expect(log.train.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(log.warnings.map(({ code }) => code)).toEqual(['APPENDED_RUN']);
  });
  it('takes other separators, and names that the user gives', () => {
    const rows = Array.from({ length: 30 }, (_, i) => `${i};${2 * Math.exp(-i / 6) + 0.3};${2 * Math.exp(-i / 6) + 0.4}`).join('\n');
    const log = text(`it;a;b\n${rows}`, { train: 'a', val: 'b', step: 'it' });
    expect(log).toMatchObject({ format: 'csv', names: { train: 'a', validation: 'b' } });
    expect(log.train.length).toBe(30);
    expect(diagnoseLog(log).verdict).toBe('healthy');
    expect(() => text(`it;a;b\n${rows}`, { train: 'c' })).toThrow('--columns train=c: log has no such column');
  });
  it('reads JSON lines between other lines', () => {
    const lines = Array.from({ length: 20 }, (_, i) =>
      JSON.stringify({ epoch: i, train_loss: 2 * Math.exp(-i / 4) + 0.2, test_loss: 2 * Math.exp(-i / 4) + 0.3, test_acc1: 80 }),
    );
    const log = text(`{"epoch": 0, broken\n${lines.join('\nsome words\n')}`);
    expect(log).toMatchObject({ format: 'json-lines', unit: 'epoch', names: { train: 'train_loss', validation: 'test_loss' } });
    expect(log.validation.length).toBe(20);
  });
});

describe('TensorBoard', () => {
  it('reads the same curves as the CSV of the same run', () => {
    const events = read('tensorboard-overfitting.tfevents');
    const csv = read('lightning-overfitting.csv');
    expect(events.train.map(({ step }) => step)).toEqual(csv.train.map(({ step }) => step));
    for (const [index, { value }] of events.train.entries()) expect(value).toBeCloseTo(csv.train[index]!.value, 5);
    expect(events.validation.length).toBe(csv.validation.length);
  });
  it('leaves out a last record that is cut short, and says so', () => {
    const bytes = bytesOf('tensorboard-healthy.tfevents');
    const log = readTrainingLog([{ path: 'x', bytes: bytes.subarray(0, bytes.length - 9) }]);
    expect(log.warnings.map(({ code }) => code)).toEqual(['LOG_CUT_SHORT']);
  });
  it('tells curves that share a tag apart by their folders, as Keras writes them', () => {
    const renamed = Buffer.from(bytesOf('tensorboard-healthy.tfevents')).toString('latin1').replaceAll('train_loss', 'epoch_loss');
    const bytes = new Uint8Array(Buffer.from(renamed, 'latin1'));
    const log = readTrainingLog([
      { path: 'train/a', bytes },
      { path: 'validation/b', bytes },
    ]);
    expect(log.names).toEqual({ train: 'train/epoch_loss', validation: 'validation/epoch_loss' });
    expect(log.unit).toBe('epoch');
  });
});

describe('what is no log', () => {
  it.each([
    ['', 'the file is empty'],
    ['a,b\n1,2\n', 'found no loss among the columns a, b'],
    ['loss\n', 'there is a header line and no row'],
    ['{"a": 1}', 'found no loss among the columns a'],
    ['\0\x01\x02', 'not a log that is known'],
    ['{"log_history": []}', 'no loss has been logged'],
    ['{broken', 'no line is a JSON object'],
  ])('%j: %s', (content, message) => expect(() => text(content)).toThrow(message));
  it('too few points are not judged', () => {
    expect(() => diagnoseLog(text('step,loss\n1,2\n2,1\n'))).toThrow('at least 5');
  });
});
