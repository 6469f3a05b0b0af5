/** What amd-smi and rocm-smi print as JSON, in all the shapes that their releases have had. */
import { z } from 'zod';
import { type Bytes, MIB } from '../units.js';

export interface AmdGpu {
  name: string;
  uuid: string | null;
  /** "gfx942" */
  gfx: string | null;
  driver: string | null;
  totalBytes: Bytes | null;
  usedBytes: Bytes | null;
}

const word = z
  .string()
  .transform((value) => (value.trim() === '' || value === 'N/A' ? null : value.trim()))
  .nullable()
  .catch(null);
/** {value: 196592, unit: "MB"}: amd-smi means MiB (an MI300X has 192 GiB). */
const size = z
  .object({ value: z.number(), unit: z.enum(['B', 'KB', 'MB', 'GB']).catch('MB') })
  .transform(({ value, unit }) => value * { B: 1, KB: 1024, MB: MIB, GB: 1024 * MIB }[unit])
  .nullable()
  .catch(null);

const identity = z.object({
  gpu: z.number(),
  asic: z.object({ market_name: word, asic_serial: word, target_graphics_version: word }),
  board: z.object({ product_name: word }).optional().catch(undefined),
  driver: z.object({ version: word }).optional().catch(undefined),
  vram: z.object({ size }).optional().catch(undefined),
});
const usage = z.object({ gpu: z.number(), mem_usage: z.object({ total_vram: size, used_vram: size }) });
const card = z.record(z.string(), z.unknown());

/** `amd-smi static` and `amd-smi metric --mem-usage`: a list, or since ROCm 7 an object with the list in `gpu_data`. */
export function parseAmdSmi(identityOutput: string, usageOutput: string): AmdGpu[] {
  const usages = list(usageOutput, usage);
  return list(identityOutput, identity).map(({ gpu, asic, board, driver, vram }) => {
    const memory = usages.find((known) => known.gpu === gpu)?.mem_usage;
    return {
      name: asic.market_name ?? board?.product_name ?? 'AMD GPU',
      uuid: uuidOf(asic.asic_serial),
      gfx: asic.target_graphics_version,
      driver: driver?.version ?? null,
      totalBytes: memory?.total_vram ?? vram?.size ?? null,
      usedBytes: memory?.used_vram ?? null,
    };
  });
}

/** `rocm-smi --json`: one object a card; key names changed case and wording over the years. */
export function parseRocmSmi(output: string): AmdGpu[] {
  const root = card.safeParse(parseJson(output)).data ?? {};
  const driver = word.parse(card.safeParse(root.system).data?.['Driver version']);
  const keys = Object.keys(root).filter((key) => /^card\d+$/.test(key));
  return keys
    .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
    .map((key) => {
      const entries = Object.entries(card.safeParse(root[key]).data ?? {});
      const field = (name: string) => word.parse(entries.find(([known]) => known.toLowerCase() === name)?.[1]);
      const bytes = (name: string) => (/^\d+$/.test(field(name) ?? '') ? Number(field(name)) : null);
      // Old releases print the vendor's id (0x1002) where the series should be.
      const names = ['card series', 'device name', 'card model'].map(field).filter((name) => name !== null && !/^0x/i.test(name));
      return {
        name: names[0] ?? 'AMD GPU',
        uuid: uuidOf(field('unique id')),
        gfx: field('gfx version'),
        driver,
        totalBytes: bytes('vram total memory (b)'),
        usedBytes: bytes('vram total used memory (b)'),
      };
    });
}

function list<T>(output: string, schema: z.ZodType<T>): T[] {
  const root = parseJson(output);
  const entries = Array.isArray(root) ? root : (card.safeParse(root).data?.gpu_data ?? []);
  return (Array.isArray(entries) ? entries : []).flatMap((entry) => schema.safeParse(entry).data ?? []);
}

/** Both tools print warnings before the JSON. */
function parseJson(output: string): unknown {
  for (const start of [0, output.indexOf('\n[') + 1, output.indexOf('\n{') + 1]) {
    try {
      return JSON.parse(output.slice(start));
    } catch {
      // Not from here; try the next place where JSON may begin.
    }
  }
  return null;
}

/** ROCR_VISIBLE_DEVICES names a card GPU-<unique id in 16 hex digits>. */
function uuidOf(id: string | null): string | null {
  const digits = /^0x([0-9a-f]{1,16})$/i.exec(id ?? '')?.[1];
  return digits ? `GPU-${digits.toLowerCase().padStart(16, '0')}` : null;
}
