import { z } from 'zod';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

/** Port numbers; 0 takes any free one. */
export const PORTS = [0, 65_535] as const;

/** What an option's schema entry says beside its type and default. */
export interface OptionMeta {
  /** One or two sentences for people: what it does, and when to change it. */
  readonly description: string;
  /**
   * When a change of it counts: at a reload, while the server runs, or only when it starts again. Of a URL, user and
   * password are taken at a reload, the rest is not.
   */
  readonly takesEffect: 'reload' | 'restart' | 'credentials at a reload';
  /** The environment variable that overrides it. */
  readonly env?: string;
  /** What the number counts; `bytes` also takes text such as `8 MiB`. */
  readonly unit?: 'bytes' | 'ms' | 'hours' | 'days' | 'percent';
  /** Never shown in messages. */
  readonly secret?: true;
  /** What holds when nothing is set and no fixed default exists; Markdown. */
  readonly fallback?: string;
  /** What text must look like, for the message when it does not. */
  readonly form?: string;
}

export function optionalText(meta: OptionMeta) {
  return z
    .string()
    .min(1)
    .optional()
    .meta({ ...meta });
}

export function text(fallback: string, meta: OptionMeta, pattern: RegExp = /./) {
  return z
    .string()
    .regex(pattern)
    .default(fallback)
    .meta({ ...meta });
}

export function requiredText(meta: OptionMeta, pattern: RegExp = /./) {
  return z
    .string()
    .regex(pattern)
    .meta({ ...meta });
}

export function integer(range: readonly [min: number, max: number], fallback: number, meta: OptionMeta) {
  return z
    .int()
    .min(range[0])
    .max(range[1])
    .default(fallback)
    .meta({ ...meta });
}

export function optionalInteger(range: readonly [min: number, max: number], meta: OptionMeta) {
  return z
    .int()
    .min(range[0])
    .max(range[1])
    .optional()
    .meta({ ...meta });
}

/** A list of short texts; in its environment variable they stand between commas or blanks. */
export function textList(most: number, meta: OptionMeta) {
  return z
    .array(z.string().min(1))
    .max(most)
    .default([])
    .meta({ ...meta });
}

export function bytes(range: readonly [min: number, max: number], fallback: number, meta: OptionMeta) {
  const size = z.int().min(range[0]).max(range[1]).default(fallback);
  return z.preprocess((value) => (typeof value === 'string' ? parseBytes(value) : value), size).meta({ ...meta, unit: 'bytes' });
}

export function optionalBytes(range: readonly [min: number, max: number], meta: OptionMeta) {
  const size = z.int().min(range[0]).max(range[1]).optional();
  return z.preprocess((value) => (typeof value === 'string' ? parseBytes(value) : value), size).meta({ ...meta, unit: 'bytes' });
}

export function flag(fallback: boolean, meta: OptionMeta) {
  return z
    .boolean()
    .default(fallback)
    .meta({ ...meta });
}

export function optionalFlag(meta: OptionMeta) {
  return z
    .boolean()
    .optional()
    .meta({ ...meta });
}

/** A part of the configuration that may be left out; its options then have their defaults. */
export function section<Shape extends z.core.$ZodLooseShape>(description: string, shape: Shape) {
  return z
    .strictObject(shape)
    .prefault({} as never)
    .meta({ description });
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

/** `8 MiB`, `512kB`, `1.5g` or `4096` in bytes; anything else comes back as it was, for the schema to refuse. */
export function parseBytes(written: string): number | string {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(written);
  const factor = UNITS[match?.[2]?.toLowerCase() ?? 'none'];
  return match === null || factor === undefined ? written : Math.round(Number(match[1]) * factor);
}

/** The shortest exact form: 8388608 is `8 MiB`. */
export function formatBytes(count: number): string {
  for (const [unit, factor] of [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (count >= factor && count % factor === 0) return `${count / factor} ${unit}`;
  }
  return String(count);
}
