import { z } from 'zod';
import type { OptionMeta } from './option.ts';
import { optionsSchema } from './options.ts';

/** One option as the schema has it, for everything that is derived from the schema. */
export interface OptionEntry extends Partial<OptionMeta> {
  /** `['sinks', '[]', 'url']`: `[]` stands for an item of a list, `<name>` for any name. */
  readonly path: readonly string[];
  readonly kind: 'section' | 'list' | 'names' | 'text' | 'number' | 'flag';
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  /** The values that are allowed, where there are few. */
  readonly values?: readonly string[];
  /** Whether whoever writes the surrounding part has to give it. */
  readonly required: boolean;
}

/** The JSON Schema of the configuration file. */
export function jsonSchema(): JsonSchema {
  const generated = z.toJSONSchema(optionsSchema, {
    io: 'input',
    override: ({ jsonSchema: node }) => describeForEditors(node as JsonSchema),
  });
  return { ...(generated as JsonSchema), title: 'Configuration of Syncline' };
}

/** All options and sections, in the order of the schema, a section before what it holds. */
export function optionEntries(): readonly OptionEntry[] {
  entries ??= [...walk(jsonSchema(), [], false)];
  return entries;
}

/** The entry for a place in a configuration, such as `['sinks', 0, 'url']`. */
export function entryAt(place: readonly PropertyKey[]): OptionEntry | undefined {
  return optionEntries().find(({ path }) => path.length === place.length && path.every((part, i) => matches(part, place[i])));
}

/** The entries right inside a place. */
export function entriesIn(place: readonly PropertyKey[]): readonly OptionEntry[] {
  return optionEntries().filter(({ path }) => path.length === place.length + 1 && place.every((part, i) => matches(path[i], part)));
}

/** `sinks[0].url`: how people write a place. */
export function placeName(place: readonly PropertyKey[]): string {
  let name = '';
  for (const part of place) {
    if (typeof part === 'number' || part === '[]') name += part === '[]' ? '[]' : `[${String(part)}]`;
    else name += name === '' ? String(part) : `.${String(part)}`;
  }
  return name;
}

/** The part of JSON Schema that the option schema turns into, with our own keys of {@link OptionMeta} among the others. */
export interface JsonSchema extends Partial<OptionMeta> {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}

// Made once, when first asked for: the schema does not change.
let entries: readonly OptionEntry[] | undefined;

function matches(part: string | undefined, placed: PropertyKey | undefined): boolean {
  if (part === '[]') return typeof placed === 'number' || placed === '[]';
  return part === '<name>' || part === placed;
}

function* walk(schema: JsonSchema, path: readonly string[], required: boolean): Generator<OptionEntry> {
  if (path.length > 0 && path.at(-1) !== '[]' && path.at(-1) !== '<name>') yield toEntry(schema, path, required);
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    yield* walk(child, [...path, name], schema.required?.includes(name) ?? false);
  }
  if (schema.items?.properties !== undefined) yield* walk(schema.items, [...path, '[]'], false);
  if (typeof schema.additionalProperties === 'object') yield* walk(schema.additionalProperties, [...path, '<name>'], false);
}

function toEntry(schema: JsonSchema, path: readonly string[], required: boolean): OptionEntry {
  const { type, title, pattern, properties, items, additionalProperties, required: inner, enum: values, ...meta } = schema;
  return { ...meta, path, required, kind: kindOf(schema), ...(values === undefined ? {} : { values }) };
}

function kindOf(schema: JsonSchema): OptionEntry['kind'] {
  if (typeof schema.additionalProperties === 'object') return 'names';
  if (schema.properties !== undefined) return 'section';
  if (schema.type === 'array') return 'list';
  if (schema.type === 'boolean') return 'flag';
  return schema.type === 'string' ? 'text' : 'number';
}

/** Sizes may be written `8 MiB`, and our own keys are not for editors' validators to stumble over. */
function describeForEditors(node: JsonSchema): void {
  if (node.unit === 'bytes')
    Object.assign(node, { type: ['integer', 'string'], pattern: '^\\s*\\d+(\\.\\d+)?\\s*([kKmMgGtT]?[iI]?[bB]?)\\s*$' });
}
