import { strict as assert } from 'node:assert';
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Authenticator } from './context.ts';

/** The producer that `SYNCLINE_TOKEN` stands for, and every client where no token is configured. */
export const DEFAULT_PRODUCER = 'default';

export interface ProducerSettings {
  readonly name: string;
  /** `sha256:` and the 64 hex digits of the SHA-256 of a whole token; several during a rotation. */
  readonly tokens: readonly string[];
}

export interface AuthenticatorSettings {
  /** One token, in plain text, for one producer named {@link DEFAULT_PRODUCER}. */
  readonly token?: string | undefined;
  readonly producers?: readonly ProducerSettings[];
}

/**
 * Tells producers by their tokens. Only digests are kept, and they are compared in constant time, an unknown token with
 * a dummy. Without any token every client is {@link DEFAULT_PRODUCER}: only for loopback, see `core/bind.ts`.
 */
export function createAuthenticator(settings: AuthenticatorSettings): Authenticator {
  if (!hasTokens(settings)) return { authenticate: () => Promise.resolve(DEFAULT_PRODUCER), producerOf: () => DEFAULT_PRODUCER };
  const known = new Map<string, KnownToken>();
  const add = (hash: string, producer: string) => {
    const digest = parseHash(hash);
    const key = keyOf(digest);
    assert(known.get(key) === undefined, `a token of producer ${producer} is configured twice`);
    known.set(key, { producer, digest });
  };
  if (settings.token !== undefined) add(hashToken(settings.token), DEFAULT_PRODUCER);
  for (const { name, tokens } of settings.producers ?? []) for (const hash of tokens) add(hash, name);
  const find = (digest: Buffer) => {
    const candidate = known.get(keyOf(digest));
    const same = timingSafeEqual((candidate ?? DUMMY).digest, digest);
    return same ? candidate?.producer : undefined;
  };
  return {
    authenticate: (token) => Promise.resolve(find(sha256(token))),
    producerOf: (hash) => find(parseHash(hash)),
  };
}

/** Whether clients must show a token. A producer without tokens counts: it lets nobody in, rather than everybody. */
export function hasTokens(settings: AuthenticatorSettings): boolean {
  return settings.token !== undefined || (settings.producers ?? []).length > 0;
}

/** How a token is written in the configuration. */
export function hashToken(token: string): string {
  return `${HASH_PREFIX}${sha256(token).toString('hex')}`;
}

/** What names a token in records: the beginning of its digest, of which nothing can be made. */
export function tokenId(hash: string): string {
  return hash.slice(HASH_PREFIX.length, HASH_PREFIX.length + 12);
}

interface KnownToken {
  readonly producer: string;
  readonly digest: Buffer;
}

const HASH_PREFIX = 'sha256:';
const DUMMY: KnownToken = { producer: '', digest: Buffer.alloc(32) };

/** Half of the digest finds the candidate; the other half takes part only in the comparison in constant time. */
function keyOf(digest: Buffer): string {
  return digest.toString('hex', 0, 16);
}

function sha256(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

function parseHash(hash: string): Buffer {
  assert(/^sha256:[0-9a-f]{64}$/i.test(hash), 'a configured token is not written as sha256: and 64 hex digits');
  return Buffer.from(hash.slice(HASH_PREFIX.length), 'hex');
}
