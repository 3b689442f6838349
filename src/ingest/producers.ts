import { strict as assert } from 'node:assert';
import { hash, timingSafeEqual } from 'node:crypto';
import { decodeAccess, encodeAccess, type Access, type AccessList, type Rule } from '../core/access.ts';
import { createAddressRanges, plainAddress, type AddressRanges } from './address-ranges.ts';
import type { Authenticator } from './context.ts';
import type { Refusal } from './failed-attempts.ts';

/** The producer that `SYNCLINE_TOKEN` stands for, and every client where no token is configured. */
export const DEFAULT_PRODUCER = 'default';

export interface ProducerSettings {
  readonly name: string;
  /** `sha256:` and the 64 hex digits of the SHA-256 of a whole token; several during a rotation. */
  readonly tokens: readonly string[];
  /** Addresses and ranges that it may come from; left out or empty: any. */
  readonly addresses?: readonly string[];
  /** Names in certificates, such as `DNS:shop.example`: who proves to own one of them is this producer. */
  readonly certificates?: readonly string[];
  /** Left out: it may do everything. */
  readonly rules?: readonly Rule[] | undefined;
}

/** A token of the token file. */
export interface IssuedToken {
  readonly producer: string;
  /** As in {@link ProducerSettings.tokens}. */
  readonly digest: string;
}

export interface AuthenticatorSettings {
  /** One token, in plain text, for one producer named {@link DEFAULT_PRODUCER}. */
  readonly token?: string | undefined;
  /** When there are any, nobody else is let in. */
  readonly producers?: readonly ProducerSettings[];
  /** Tokens of the token file, where there is one. */
  readonly issued?: readonly IssuedToken[] | undefined;
  /** Addresses and ranges that anybody at all may come from; left out or empty: any. */
  readonly addresses?: readonly string[];
}

/**
 * Tells producers by their tokens and certificates. Only digests are kept, and they are compared in constant time, an unknown
 * token with a dummy. Without any token every client is {@link DEFAULT_PRODUCER}: only for loopback, see `core/bind.ts`.
 * `refused` is told of everybody who is not let in, and the answer waits for it; left out, it comes at once.
 */
export function createAuthenticator(
  settings: AuthenticatorSettings,
  refused: (refusal: Refusal) => Promise<void> = () => Promise.resolve(),
): Authenticator {
  const gate = new Gate(settings);
  return {
    async authenticate(token, remoteAddress, certificateNames = []) {
      const shown = { digest: sha256(token), id: idOf(token), hasToken: token !== '' };
      const verdict = gate.judge(shown, plainAddress(remoteAddress), certificateNames);
      if ('reason' in verdict) await refused(verdict);
      return 'reason' in verdict ? undefined : verdict.producer;
    },
    producerOf(hash, remoteAddress, certificateNames = []) {
      const digest = parseHash(hash);
      const shown = { digest, id: undefined, hasToken: !timingSafeEqual(digest, NO_TOKEN) };
      const verdict = gate.judge(shown, plainAddress(remoteAddress), certificateNames);
      return 'reason' in verdict ? undefined : verdict.producer;
    },
    accessOf: (producer) => gate.accessOf(producer),
  };
}

/** Whether clients must show a token. A producer without tokens counts: it lets nobody in, rather than everybody. */
export function hasTokens({ token, producers = [], issued }: AuthenticatorSettings): boolean {
  return token !== undefined || producers.length > 0 || issued !== undefined;
}

/** How a token is written in the configuration. */
export function hashToken(token: string): string {
  return `${HASH_PREFIX}${sha256(token).toString('hex')}`;
}

/** What names a token in records: the beginning of its digest, of which nothing can be made. */
export function tokenId(hash: string): string {
  return hash.slice(HASH_PREFIX.length, HASH_PREFIX.length + 12);
}

interface Shown {
  readonly digest: Buffer;
  readonly id: string | undefined;
  readonly hasToken: boolean;
}

interface KnownToken {
  readonly producer: string;
  readonly digest: Buffer;
}

/** Everything that says who is let in, made ready to be looked up. */
class Gate {
  readonly #isOpen: boolean;
  readonly #tokens = new Map<string, KnownToken>();
  readonly #byCertificate = new Map<string, string>();
  /** Those of the configuration; undefined where it names none. */
  readonly #listed: ReadonlyMap<string, AddressRanges | undefined> | undefined;
  readonly #addresses: AddressRanges | undefined;
  readonly #access: AccessList;

  constructor(settings: AuthenticatorSettings) {
    const { token, producers = [], issued = [], addresses } = settings;
    this.#isOpen = !hasTokens(settings);
    this.#addresses = rangesOf(addresses);
    this.#access = decodeAccess(encodeAccess([...(token === undefined ? [] : [{ name: DEFAULT_PRODUCER }]), ...producers]));
    if (token !== undefined) this.#add(hashToken(token), DEFAULT_PRODUCER);
    for (const { name, tokens, certificates = [] } of producers) {
      for (const hash of tokens) this.#add(hash, name);
      for (const certificate of certificates) this.#byCertificate.set(plainName(certificate), name);
    }
    const listed = new Map(producers.map(({ name, addresses: own }) => [name, rangesOf(own)]));
    if (producers.length > 0 && token !== undefined) listed.set(DEFAULT_PRODUCER, undefined);
    this.#listed = producers.length > 0 ? listed : undefined;
    // The configuration has the first word on a token that stands there too.
    for (const { producer, digest } of issued) if (!this.#tokens.has(keyOf(parseHash(digest)))) this.#add(digest, producer);
  }

  judge({ digest, id, hasToken }: Shown, address: string, certificateNames: readonly string[]): { readonly producer: string } | Refusal {
    const refusal = (reason: Refusal['reason'], producer?: string): Refusal => ({ reason, address, claimedId: id, producer });
    const token = this.#find(digest);
    const certified = new Set<string>();
    for (const name of certificateNames) {
      const producer = this.#byCertificate.get(plainName(name));
      if (producer !== undefined) certified.add(producer);
    }
    if (this.#addresses?.includes(address) === false) return refusal('address');
    if (this.#isOpen) return { producer: DEFAULT_PRODUCER };
    if (hasToken && token === undefined) return refusal('unknown_token');
    const [byCertificate] = certified;
    const producer = token?.producer ?? byCertificate;
    if (producer === undefined) return refusal('no_token');
    if (certified.size > 1 || (byCertificate !== undefined && byCertificate !== producer)) return refusal('certificate', producer);
    if (this.#listed?.has(producer) === false) return refusal('unlisted_producer', producer);
    if (this.#listed?.get(producer)?.includes(address) === false) return refusal('address', producer);
    return { producer };
  }

  accessOf(producer: string): Access | undefined {
    return this.#access.of(producer);
  }

  /**
   * Looks a token up by half of its digest, which nobody chooses who does not know the token; by its id, those that are known
   * would be found 6 ns later than others.
   */
  #find(digest: Buffer): KnownToken | undefined {
    const candidate = this.#tokens.get(keyOf(digest));
    const isSame = timingSafeEqual((candidate ?? DUMMY).digest, digest);
    return isSame ? candidate : undefined;
  }

  #add(hash: string, producer: string): void {
    const digest = parseHash(hash);
    const key = keyOf(digest);
    assert(!this.#tokens.has(key), `a token of producer ${producer} is configured twice`);
    this.#tokens.set(key, { producer, digest });
  }
}

const HASH_PREFIX = 'sha256:';
const DUMMY: KnownToken = { producer: '', digest: Buffer.alloc(32) };

function rangesOf(written: readonly string[] | undefined): AddressRanges | undefined {
  return written === undefined || written.length === 0 ? undefined : createAddressRanges(written);
}

/** What a token calls itself: what stands before its last dot. */
function idOf(token: string): string | undefined {
  const dot = token.lastIndexOf('.');
  return dot > 0 && dot <= MAX_ID_CHARS ? token.slice(0, dot) : undefined;
}

const MAX_ID_CHARS = 128;

/** Names of hosts have no case. */
function plainName(certificateName: string): string {
  return certificateName.startsWith('DNS:') ? certificateName.toLowerCase().replace('dns:', 'DNS:') : certificateName;
}

/** Half of the digest finds the candidate; the other half takes part only in the comparison in constant time. */
function keyOf(digest: Buffer): string {
  return digest.toString('hex', 0, 16);
}

function sha256(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

const NO_TOKEN = sha256('');

function parseHash(hash: string): Buffer {
  assert(/^sha256:[0-9a-f]{64}$/i.test(hash), 'a configured token is not written as sha256: and 64 hex digits');
  return Buffer.from(hash.slice(HASH_PREFIX.length), 'hex');
}
