import { strict as assert } from 'node:assert';
import { isIP } from 'node:net';
import { SyncError } from '../../src/core/errors.ts';
import { MAX_PROXY_HEADER_BYTES, type ProxyHeader, readProxyHeader } from '../../src/ingest/proxy-header.ts';
import { proxyHeader } from '../support/proxy-header.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { FuzzCase } from './fuzz-case.ts';
import { mutatePayload } from './mutations.ts';

const SOURCES = ['192.0.2.7', '2001:db8::7', '::ffff:c000:207', undefined] as const;
const FOLLOWS = Buffer.from('0000001e0100', 'hex');

/** Headers of balancers, and of those who want to be somebody else: read alike however they are cut. */
export class ProxyCase implements FuzzCase {
  readonly #random: SeededRandom;
  #last: Buffer = Buffer.alloc(0);
  readonly accepted = 0;
  connections = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get sent(): string {
    return this.#last.toString('hex');
  }

  run(inputs: number): void {
    const random = this.#random;
    for (let i = 0; i < inputs; i++) {
      const good = this.#header();
      const isGood = random.chance(0.2);
      const header = isGood ? good : mutatePayload(good, random, this.#header());
      this.#last = Buffer.concat([header, FOLLOWS]);
      this.connections++;
      const read = this.#readInPieces();
      if (isGood) assert.equal(read?.bytes, good.length, 'a header that is right is read to its end');
    }
  }

  /** What it comes to is decided once, and never taken back by what follows. */
  #readInPieces(): ProxyHeader | undefined {
    let decided: ProxyHeader | 'refused' | undefined;
    const step = Math.max(1, this.#random.below(this.#last.length / 4));
    for (let length = 1; ; length = Math.min(this.#last.length, length + step)) {
      const now = readOf(this.#last.subarray(0, length));
      if (decided !== undefined) assert.deepEqual(now, decided, `with ${length} bytes it is read differently`);
      decided = now;
      if (now !== undefined && now !== 'refused') {
        assert(now.bytes <= length && now.bytes <= MAX_PROXY_HEADER_BYTES, `a header of ${now.bytes} bytes was read from ${length}`);
        assert(now.source === undefined || isIP(now.source) !== 0, 'a client has an address');
      }
      if (length === this.#last.length) return now === 'refused' ? undefined : now;
    }
  }

  #header(): Buffer {
    const random = this.#random;
    const source = random.pick(SOURCES);
    if (random.chance(0.3)) {
      const target = source?.includes(':') === true ? '::1' : '127.0.0.1';
      const line = source === undefined ? 'UNKNOWN' : `TCP${source.includes(':') ? 6 : 4} ${source} ${target} ${random.below(65_536)} 9501`;
      return Buffer.from(`PROXY ${line}\r\n`);
    }
    const tlvs = Array.from({ length: random.below(3) }, () => [0xe0 + random.below(16), Buffer.alloc(random.below(40), 1)] as const);
    return proxyHeader({ ...(source === undefined ? {} : { source }), tlvs, checksum: random.chance(0.5) });
  }
}

function readOf(bytes: Buffer): ProxyHeader | 'refused' | undefined {
  try {
    return readProxyHeader(bytes);
  } catch (error) {
    assert(error instanceof SyncError && error.code === 'bad_proxy_header', 'what is no header is refused with its code');
    return 'refused';
  }
}
