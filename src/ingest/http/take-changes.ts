// Hot path: no promise, closure or spread for each change of NDJSON.
import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { hasLongNumber, parseExact } from '../../core/exact-json.ts';
import type { WebExchange } from '../web/engine.ts';
import { type BodyFormat, type BodyHead, openBody, readBodyHead, readWhole, textOf } from './body.ts';
import type { Ack, ChangeWriter, ChangeWriters, RejectedChanges, RequestChange } from './change-writer.ts';
import type { ReadChange } from './changes.ts';
import { parseForm } from './form.ts';
import { jsonFaultAt, lineAt } from './json-fault.ts';
import { LineReader, linesText } from './line-reader.ts';
import { changeFault, faultOf, RequestFault, type Where } from './request-fault.ts';

export interface TakeParts {
  readonly clock: Clock;
  readonly writers: ChangeWriters;
  readonly maxBodyBytes: number;
  /** Throws a {@link RequestFault} once whoever sends is no longer let in: a body may take days. */
  readonly checkSender: () => void;
}

/** What a route takes, and how it reads a change of it. */
export interface Intake {
  readonly formats: readonly BodyFormat[];
  readonly readChange: ReadChange;
}

/** What became of the changes of a request; also the body of its answer. */
export interface Taken {
  readonly ack: Ack;
  readonly changes: number;
  /** With `applied`. */
  readonly applied?: number;
  readonly rejected?: number;
  readonly rejections?: RejectedChanges['rejections'];
}

/**
 * Takes the changes of a request of `producer`, and resolves when they are as far as it asks.
 * A body that is read as a whole is taken as a whole or not at all; of NDJSON without `Idempotency-Key`, which may have no
 * end, every line counts for itself.
 * @throws {RequestFault} and what the exchange throws when the peer goes away.
 */
export async function takeChanges(exchange: WebExchange, producer: string, intake: Intake, parts: TakeParts): Promise<Taken> {
  const ack = ackOf(exchange.query);
  const key = keyOf(exchange.header('idempotency-key'));
  const head = readBodyHead(exchange, intake.formats, parts.maxBodyBytes);
  const { obstacle } = parts.writers;
  if (obstacle !== undefined) throw faultOf(obstacle);
  const request = { exchange, producer, intake, parts, ack, head };
  return head.format === 'lines' && key === undefined ? takeStream(request) : takeWhole(request, key);
}

interface TakeRequest {
  readonly exchange: WebExchange;
  readonly producer: string;
  readonly intake: Intake;
  readonly parts: TakeParts;
  readonly ack: Ack;
  readonly head: BodyHead;
}

async function takeWhole({ exchange, producer, intake, parts, ack, head }: TakeRequest, key: string | undefined): Promise<Taken> {
  const { clock, writers, maxBodyBytes } = parts;
  const { signal } = exchange;
  const bytes = await readWhole(openBody(exchange, head, { clock, memory: writers.memory }), maxBodyBytes, writers.memory, signal);
  let heldBytes = bytes.length;
  const letGo = () => {
    writers.memory.give(heldBytes);
    heldBytes = 0;
  };
  try {
    const writer = await (key === undefined
      ? writers.open(producer, ack, signal)
      : writers.openRepeatable(producer, key, createHash('sha256').update(bytes).digest(), signal));
    try {
      parts.checkSender();
      const records = recordsOf(bytes, head.format, intake.readChange);
      // Of a request that may come again nothing is sent before all of it is written.
      await writeAll(writer, records, key === undefined ? 'check' : 'no check');
      letGo();
      return answerOf(ack, records.length, await writer.settle(ack, signal));
    } finally {
      writer.release();
    }
  } catch (error) {
    throw faultOf(error);
  } finally {
    letGo();
  }
}

async function takeStream({ exchange, producer, intake, parts, ack, head }: TakeRequest): Promise<Taken> {
  const { clock, writers, maxBodyBytes } = parts;
  const { memory } = writers;
  const { signal } = exchange;
  const body = openBody(exchange, head, { clock, memory });
  const lines = new LineReader(memory, maxBodyBytes);
  // Not before there is a change: a body may be long in coming.
  const stream = new LineStream(() => writers.open(producer, ack, signal), intake.readChange);
  try {
    for await (const chunk of body) {
      await memory.take(0, signal);
      parts.checkSender();
      const complete = await lines.push(chunk, signal);
      if (complete !== undefined) await stream.write(complete);
    }
    const last = lines.end();
    if (last !== undefined) await stream.write(last);
    return answerOf(ack, stream.taken, await stream.settle(ack, signal));
  } catch (error) {
    const fault = faultOf(error);
    throw new RequestFault(fault.status, fault.code, fault.message, {
      where: { ...fault.where, taken: stream.taken },
      headers: fault.headers,
    });
  } finally {
    lines.close();
    stream.release();
  }
}

/** Writes lines as they come. */
class LineStream {
  readonly #open: () => Promise<ChangeWriter>;
  #writer: ChangeWriter | undefined;
  readonly #readChange: ReadChange;
  readonly #lookedUp = new Set<string>();
  #lastTable = '';
  #line = 0;
  /** Changes that were written. */
  taken = 0;

  /** `open` is called at the first change. */
  constructor(open: () => Promise<ChangeWriter>, readChange: ReadChange) {
    this.#open = open;
    this.#readChange = readChange;
  }

  /** Takes whole lines, the last of which may lack its line break. */
  async write(lines: Buffer): Promise<void> {
    const text = linesText(lines);
    if (text === undefined) throw new RequestFault(400, 'bad_request', `what follows line ${this.#line} is not UTF-8`);
    const parse = hasLongNumber(text) ? parseExact : JSON.parse;
    let at = this.#line === 0 && text.charCodeAt(0) === BYTE_ORDER_MARK ? 1 : 0;
    while (at < text.length) {
      const found = text.indexOf('\n', at);
      const end = found === -1 ? text.length : found;
      this.#line++;
      const waiting = this.#writeLine(text.slice(at, end), parse);
      if (waiting !== undefined) await waiting;
      at = end + 1;
    }
  }

  async settle(ack: Ack, signal: AbortSignal): Promise<RejectedChanges> {
    return this.#writer === undefined ? { count: 0, rejections: [] } : this.#writer.settle(ack, signal);
  }

  release(): void {
    this.#writer?.release();
  }

  async #writeFirst(line: string, parse: (text: string) => unknown): Promise<void> {
    this.#writer = await this.#open();
    await this.#writeLine(line, parse);
  }

  #writeLine(line: string, parse: (text: string) => unknown): Promise<void> | undefined {
    if (this.#writer === undefined) return line.trim() === '' ? undefined : this.#writeFirst(line, parse);
    try {
      const change = this.#readChange(parse(line));
      if (change.table !== this.#lastTable) {
        this.#lastTable = change.table;
        const looking = this.#lookUp(this.#writer, change);
        if (looking !== undefined) return looking.then(() => this.#writeLine(line, parse));
      }
      const waiting = this.#writer.write(change);
      this.taken++;
      return waiting;
    } catch (error) {
      if (line.trim() === '') return undefined;
      throw lineFault(error, line, { row: this.taken, line: this.#line });
    }
  }

  #lookUp(writer: ChangeWriter, change: RequestChange): Promise<void> | undefined {
    if (this.#lookedUp.has(change.table)) return undefined;
    // A request has no end and may name ever new tables.
    if (this.#lookedUp.size >= MAX_LOOKED_UP) this.#lookedUp.clear();
    this.#lookedUp.add(change.table);
    return writer.lookUp(change);
  }
}

/** One change of a body that is there as a whole. */
interface BodyRecord {
  readonly change: RequestChange;
  readonly where: Where;
}

/** @throws {RequestFault} 400, or 422 for what is no change */
function recordsOf(bytes: Buffer, format: BodyFormat, readChange: ReadChange): readonly BodyRecord[] {
  const text = textOf(bytes);
  const records: BodyRecord[] = [];
  const add = (where: Where, text: string, parse: () => unknown) => {
    try {
      records.push({ change: readChange(parse()), where });
    } catch (error) {
      throw lineFault(error, text, where);
    }
  };
  if (format === 'lines') {
    for (const [index, line] of text.split('\n').entries())
      if (line.trim() !== '') add({ row: records.length, line: index + 1 }, line, () => parseExact(line));
  } else {
    const value = format === 'form' ? parseForm(text) : parseBody(text);
    for (const one of (Array.isArray(value) ? value : [value]) as unknown[]) add({ row: records.length }, '', () => one);
  }
  return records;
}

function parseBody(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    throw jsonFault(error, text, {}, 0);
  }
}

/** Makes the tables known, checks every change, and writes them; without `check` a change that cannot be sent is found when others were written. */
async function writeAll(writer: ChangeWriter, records: readonly BodyRecord[], check: 'check' | 'no check'): Promise<void> {
  const lookedUp = new Set<string>();
  for (const { change } of records) {
    if (lookedUp.has(change.table)) continue;
    lookedUp.add(change.table);
    await writer.lookUp(change);
  }
  if (check === 'check') for (const { change, where } of records) attempt(() => writer.check(change), where);
  for (const { change, where } of records) {
    const waiting = attempt(() => writer.write(change), where);
    if (waiting !== undefined) await waiting;
  }
}

function attempt<T>(run: () => T, where: Where): T {
  try {
    return run();
  } catch (error) {
    throw changeFault(error, where);
  }
}

function lineFault(error: unknown, line: string, where: Where): RequestFault {
  return error instanceof SyntaxError || error instanceof RangeError
    ? jsonFault(error, line, where, where.line! - 1)
    : changeFault(error, where);
}

/** `linesBefore` stand before the text that was parsed. What nests too deep for the reviver is a RangeError. */
function jsonFault(error: unknown, text: string, where: Where, linesBefore: number): RequestFault {
  if (!(error instanceof SyntaxError)) return new RequestFault(400, 'bad_request', 'the JSON nests too deep', { where });
  const offset = jsonFaultAt(text);
  const line = linesBefore + lineAt(text, offset);
  const character = offset - (text.lastIndexOf('\n', offset - 1) + 1) + 1;
  return new RequestFault(400, 'bad_request', `not valid JSON: line ${line}, character ${character}`, { where: { ...where, line } });
}

function answerOf(ack: Ack, changes: number, { count, rejections }: RejectedChanges): Taken {
  return ack === 'stored' ? { ack, changes } : { ack, changes, applied: changes - count, rejected: count, rejections };
}

function ackOf(query: string): Ack {
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys())
    if (name !== 'ack')
      throw new RequestFault(400, 'bad_request', 'the query has another parameter than ack; it is ?ack=stored or ?ack=applied');
  const ack = parameters.get('ack') ?? 'stored';
  if (ack !== 'stored' && ack !== 'applied') throw new RequestFault(400, 'bad_request', 'ack is neither stored nor applied');
  return ack;
}

function keyOf(key: string | undefined): string | undefined {
  if (key === undefined || IDEMPOTENCY_KEY.test(key)) return key;
  throw new RequestFault(400, 'bad_request', 'the Idempotency-Key is not 8 to 200 visible ASCII characters');
}

const MAX_LOOKED_UP = 1_000;
const IDEMPOTENCY_KEY = /^[!-~]{8,200}$/;
const BYTE_ORDER_MARK = 0xfeff;
