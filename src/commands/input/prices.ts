/** Reads --price: `t4=0.35,a100-40gb=1.10`. */
import { UsageError } from '../../errors.js';
import { parseList, parsePositive, splitPair } from './values.js';

/** Price of one device for an hour, by device. Throws UsageError for a device that is not compared. */
export function parsePrices(text: string | undefined, devices: readonly string[]): Map<string, number> {
  const prices = new Map<string, number>();
  for (const entry of text === undefined ? [] : parseList(text, '--price')) {
    const [device, price] = splitPair(entry) ?? [];
    if (device === undefined || price === undefined) {
      throw new UsageError('BAD_PRICE', `--price: expected DEVICE=PRICE, found "${entry}"`, 'write prices such as t4=0.35,l4=0.70');
    }
    if (!devices.includes(device)) {
      throw new UsageError('BAD_PRICE', `--price: "${device}" is not among the devices compared`, `they are ${devices.join(', ')}`);
    }
    prices.set(device, parsePositive(price, '--price'));
  }
  return prices;
}
