/** What a device profile may hold. Shipped profiles are held against this by a test, a user's own when it is read. */
import { z } from 'zod';
import { DEVICE_KINDS, type DeviceProfile, RATE_DTYPES } from './machine.js';

const figure = z.number().positive();

export const deviceProfile: z.ZodType<DeviceProfile> = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'lower-case letters, digits and dashes'),
    aliases: z.array(z.string().min(1)).default([]),
    kind: z.enum(DEVICE_KINDS),
    vendor: z.string().default('any'),
    architecture: z.string().nullable().default(null),
    computeCapability: z.string().nullable().default(null),
    memory: z
      .strictObject({
        totalBytes: figure.int().nullable().default(null),
        usableBytes: figure.int().nullable().default(null),
        unified: z.boolean().default(false),
      })
      .prefault({}),
    bandwidthBytesPerSecond: figure.nullable().default(null),
    peakFlops: z.partialRecord(z.enum(RATE_DTYPES), figure).default({}),
    multiprocessors: figure.int().nullable().default(null),
    tensorCores: figure.int().nullable().default(null),
    interconnect: z
      .strictObject({ name: z.string(), bytesPerSecond: figure.nullable().default(null) })
      .nullable()
      .default(null),
    powerWatts: figure.nullable().default(null),
    tileElements: z.tuple([figure.int(), figure.int()]).nullable().default(null),
    sources: z.record(z.string(), z.string().min(1)).default({}),
    notes: z.string().nullable().default(null),
  })
  .refine(({ memory }) => memory.totalBytes === null || memory.usableBytes === null || memory.usableBytes <= memory.totalBytes, {
    path: ['memory', 'usableBytes'],
    message: 'a process cannot get more than the device has',
  });
