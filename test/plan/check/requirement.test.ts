import { describe, expect, it } from 'vitest';
import { type Check, exitCodeOf, type Facts } from '../../../src/plan/check/fact.js';
import { judge, parseRequirement } from '../../../src/plan/check/requirement.js';

const GIB = 2 ** 30;
const facts: Facts = {
  'gpu.count': { kind: 'count', value: 2 },
  'gpu.memory': { kind: 'bytes', value: 24 * GIB },
  'gpu.name': { kind: 'text', value: 'NVIDIA GeForce RTX 3090' },
  'gpu.driver': { kind: 'version', value: '535.104.05' },
  fits: { kind: 'truth', value: true },
  'engine.torch': { kind: 'text', value: 'ready' },
  'engine.tfjs': { kind: 'text', value: 'missing' },
  throughput: { kind: 'unknown', reason: 'not measured' },
  'gpu.free': { kind: 'missing', reason: 'no GPU' },
};
const check = (text: string) => judge(parseRequirement(text), facts);

describe('requirements', () => {
  it.each([
    ['gpu.count>=1', true],
    ['gpu.count >= 3', false],
    ['gpu.count==2', true],
    ['gpu.count=2', true],
    ['gpu.count!=2', false],
    ['gpu.count < 3', true],
    ['gpu.count>2', false],
    ['gpu.count<=2', true],
    ['gpu.memory>=24GiB', true],
    ['gpu.memory>=24GB', true],
    ['gpu.memory>24GiB', false],
    ['gpu.memory >= 24576MiB', true],
    ['gpu.memory>=25769803777', false],
    ['gpu.driver>=535', true],
    ['gpu.driver>=535.9', true],
    ['gpu.driver>=550', false],
    ['gpu.name==nvidia geforce rtx 3090', true],
    ['gpu.name!=A100', true],
    ['fits', true],
    ['fits==true', true],
    ['fits=no', false],
    ['engine.torch', true],
    ['engine.tfjs', false],
    ['engine.tfjs==missing', true],
    ['gpu.count', true],
  ])('%s: %s', (text, passed) => expect(check(text)).toMatchObject({ passed, outcome: passed ? 'passed' : 'failed' }));

  it('never lets what is not known pass or fail', () => {
    expect(check('throughput>=100')).toMatchObject({ passed: false, outcome: 'unknown', found: null, note: 'not measured' });
    expect(check('gpu.free>=1GiB')).toMatchObject({ passed: false, outcome: 'missing', found: null });
    expect(check('gpu.free<1GiB')).toMatchObject({ passed: false, outcome: 'missing' });
  });
  it('reads a level', () => {
    expect(check('warn: gpu.count>=3')).toMatchObject({ level: 'warn', passed: false });
    expect(check('gpu.count>=3').level).toBe('error');
  });
  it.each([
    ['', 'position 1: expected the name of a fact, found the end'],
    ['>=1', 'position 1: expected the name of a fact'],
    ['gpu.count >', 'position 12: expected a value, found the end'],
    ['gpu.count >> 1', 'position 12: expected a value'],
    ['gpu.count 1', 'position 11: expected one of >= <= > < == !='],
    ['gpu..count>=1', 'position 4: expected one of'],
    ['gpu.count>=1>=2', 'position 13: expected the end'],
    ['gpu.count>=many', 'position 12: expected a number, found "many"'],
    ['gpu.memory>=24 apples', 'position 13: expected a size such as 24GiB'],
    ['gpu.memory>=24', 'position 13: expected a size such as 24GiB, found "24"'],
    ['gpu.free>=24furlongs', 'position 11: expected a size such as 24GiB'],
    ['gpu.name>=A', 'position 11: expected == or != for gpu.name'],
    ['fits==maybe', 'position 7: expected true or false'],
    ['gpu.colour==red', 'there is no fact "gpu.colour"'],
  ])('%j: %s', (text, message) => expect(() => check(text)).toThrow(message));
});

describe('the exit code', () => {
  const of = (...outcomes: Array<[Check['outcome'], Check['level']]>) =>
    exitCodeOf(
      outcomes.map(([outcome, level]) => ({
        name: 'x',
        level,
        expected: '',
        found: null,
        passed: outcome === 'passed',
        outcome,
        note: '',
      })),
    );
  it('is 0 when all pass, whatever warnings say', () => {
    expect(of(['passed', 'error'], ['failed', 'warn'], ['unknown', 'warn'])).toBe(0);
  });
  it('is 1 for a no, 3 for what is not here, 4 for what cannot be read', () => {
    expect(of(['failed', 'error'], ['unknown', 'error'])).toBe(1);
    expect(of(['missing', 'error'], ['unknown', 'error'])).toBe(3);
    expect(of(['passed', 'error'], ['unknown', 'error'])).toBe(4);
  });
});
