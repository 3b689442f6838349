import { isUtf8 } from 'node:buffer';
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import type { Clock, Timer } from '../../core/clock.ts';
import type { WebExchange } from '../web/engine.ts';
import type { RequestMemory } from './change-writer.ts';
import { RequestFault } from './request-fault.ts';

/** The peer owes the next bytes of a body for at most so long, and so many of them in a second once it is that late. */
const MAX_SILENCE_MS = 30_000;
const MIN_BYTES_PER_SECOND = 1_000;
/** What a body may expand to, as a multiple of what was sent, beyond the first MiB: rows of JSON come to a tenth of it. */
const MAX_EXPANSION = 250;
const FREE_EXPANSION_BYTES = 1024 * 1024;
/** zstd may ask for as much memory as its window is large: 8 MiB. */
const MAX_WINDOW_LOG = 23;
const MAX_WINDOW_BYTES = 2 ** MAX_WINDOW_LOG;
const CHUNK_BYTES = 64 * 1024;

export type BodyFormat = 'json' | 'lines' | 'form';

export interface BodyHead {
  readonly format: BodyFormat;
  readonly encoding: 'identity' | 'gzip' | 'zstd';
}

const FORMATS: Readonly<Record<string, BodyFormat>> = {
  'application/json': 'json',
  'application/x-ndjson': 'lines',
  'application/ndjson': 'lines',
  'application/jsonl': 'lines',
  'application/x-www-form-urlencoded': 'form',
};

/**
 * What the headers say of a body, of one of the formats in `taken`.
 * @throws {RequestFault} 411, 413 or 415. Nothing was read then.
 */
export function readBodyHead(exchange: WebExchange, taken: readonly BodyFormat[], maxBodyBytes: number): BodyHead {
  const [type = '', ...parameters] = (exchange.header('content-type') ?? 'application/json').toLowerCase().split(';');
  const format = FORMATS[type.trim()];
  if (format === undefined || !taken.includes(format)) {
    const types = Object.keys(FORMATS).filter((one) => taken.includes(FORMATS[one]!));
    throw new RequestFault(415, 'bad_request', `the content type is ${quoted(type)}; send ${types.join(', ')}`);
  }
  const charset = parameters.find((parameter) => parameter.trim().startsWith('charset='))?.split('=')[1];
  if (charset !== undefined && charset.replaceAll('"', '').trim() !== 'utf-8')
    throw new RequestFault(415, 'bad_request', `the charset is ${quoted(charset)}; send UTF-8`);
  const encoding = (exchange.header('content-encoding') ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== 'gzip' && encoding !== 'zstd')
    throw new RequestFault(415, 'bad_request', `the content encoding is ${quoted(encoding)}; send gzip, zstd or none`, {
      headers: { 'accept-encoding': 'gzip, zstd' },
    });
  const length = exchange.header('content-length');
  if (length === undefined && exchange.header('transfer-encoding') === undefined)
    throw new RequestFault(411, 'bad_request', `the request has no body; send one with Content-Length, of at most ${maxBodyBytes} bytes`);
  if (format !== 'lines' && Number(length ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
  return { format, encoding };
}

/**
 * The body as it was before compression.
 * Throws a {@link RequestFault} 400, 408 or 413, and whatever the exchange throws when the peer goes away.
 */
export function openBody(
  exchange: WebExchange,
  { encoding }: BodyHead,
  { clock, memory }: { readonly clock: Clock; readonly memory: RequestMemory },
): AsyncIterable<Uint8Array> {
  const sent = paced(exchange.body(), clock);
  if (encoding === 'identity') return sent;
  const decoded = expanded(sent, encoding);
  return encoding === 'gzip' ? decoded : withWindow(decoded, memory, exchange.signal);
}

/** Counts what zstd keeps of what it has written, until its end: at most a window. */
async function* withWindow(chunks: AsyncIterable<Uint8Array>, memory: RequestMemory, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let keptBytes = 0;
  try {
    for await (const chunk of chunks) {
      const bytes = Math.min(chunk.length, MAX_WINDOW_BYTES - keptBytes);
      await memory.take(bytes, signal);
      keptBytes += bytes;
      yield chunk;
    }
  } finally {
    memory.give(keptBytes);
  }
}

/** A whole body. As many bytes of `memory` are taken for it; whoever called gives them back. */
export async function readWhole(
  body: AsyncIterable<Uint8Array>,
  maxBodyBytes: number,
  memory: RequestMemory,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let takenBytes = 0;
  try {
    for await (const chunk of body) {
      if (takenBytes + chunk.length > maxBodyBytes) throw tooLarge(maxBodyBytes);
      await memory.take(chunk.length, signal);
      takenBytes += chunk.length;
      chunks.push(chunk);
    }
  } catch (error) {
    memory.give(takenBytes);
    throw error;
  }
  return Buffer.concat(chunks);
}

/** @throws {RequestFault} 400 when `bytes` are no UTF-8; a byte order mark is left out. */
export function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new RequestFault(400, 'bad_request', 'the body is not UTF-8; convert it first');
  const marked = bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.toString('utf8', marked ? 3 : 0);
}

export function tooLarge(maxBodyBytes: number): RequestFault {
  return new RequestFault(
    413,
    'body_too_large',
    `the body is larger than the ${maxBodyBytes} bytes that are taken; send it in parts or as NDJSON, or raise listen.web.maxBodyBytes`,
  );
}

/** Gives up on a peer that sends too little; the time that we let it wait does not count. */
async function* paced(chunks: AsyncIterable<Uint8Array>, clock: Clock): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  let bytes = 0;
  let owedMs = 0;
  try {
    for (;;) {
      const since = clock.monotonicMs();
      // A chunk may come so long after the last, and never later than the pace allows.
      const patienceMs = Math.max(1, Math.min(MAX_SILENCE_MS, MAX_SILENCE_MS + (bytes / MIN_BYTES_PER_SECOND) * 1_000 - owedMs));
      const next = await within(iterator.next(), patienceMs, clock);
      if (next.done === true) return;
      owedMs += clock.monotonicMs() - since;
      bytes += next.value.length;
      yield next.value;
    }
  } finally {
    // Not awaited: what the peer still owes may never come.
    void iterator.return?.().catch(() => {});
  }
}

function within<T>(coming: Promise<T>, patienceMs: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer: Timer = clock.setTimer(patienceMs, () =>
      reject(new RequestFault(408, 'body_too_slow', 'the body comes too slowly; send what there is, and the rest in another request')),
    );
    coming.then(resolve, reject).finally(() => timer.cancel());
  });
}

async function* expanded(sent: AsyncIterable<Uint8Array>, encoding: 'gzip' | 'zstd'): AsyncGenerator<Buffer> {
  const decoder =
    encoding === 'gzip'
      ? zlib.createGunzip({ chunkSize: CHUNK_BYTES })
      : zlib.createZstdDecompress({ chunkSize: CHUNK_BYTES, params: { [zlib.constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } });
  let sentBytes = 0;
  const count = async function* () {
    for await (const chunk of sent) {
      sentBytes += chunk.length;
      yield chunk;
    }
  };
  // Errors of either end come out of the decoder.
  pipeline(Readable.from(count(), { objectMode: false }), decoder, () => {});
  let bytes = 0;
  try {
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > FREE_EXPANSION_BYTES && bytes > sentBytes * MAX_EXPANSION)
        throw new RequestFault(413, 'body_too_large', `the body expands to more than ${MAX_EXPANSION} times what was sent`);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && /^Z(STD)?_/.test(String(error.code)))
      throw new RequestFault(400, 'bad_request', `the body is not valid ${encoding}`);
    throw error;
  } finally {
    decoder.destroy();
  }
}

function quoted(value: string): string {
  return JSON.stringify(value.trim().slice(0, 100));
}
