import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { FailedAttempts } from '../../src/ingest/failed-attempts.ts';
import { createAuthenticator, hashToken } from '../../src/ingest/producers.ts';
import type { Micro, MicroCase } from './micro.ts';

const PRODUCERS = 100;
const ATTEMPTS = 2_000;
const SECRET = 'q3hTkPz5mYx0wV1cR8nL2sJ6dF4gB7aUeNiOyMhK9tE';
const ADDRESS = '10.1.2.3';

/** The time until a peer is told that it may not come in is spent waiting; this is what it costs the server. */
export const authentication: Micro = {
  name: 'authentication',
  title: 'tokens told apart, and wrong ones counted and held up (src/ingest/producers.ts, failed-attempts.ts)',
  cases() {
    const attempts = new FailedAttempts({ clock: systemClock, random: systemRandom, onRefused: () => {} });
    const names = Array.from({ length: PRODUCERS }, (_, i) => `shop-${i}`);
    const authenticator = createAuthenticator(
      {
        producers: names.map((name) => ({ name, tokens: [hashToken(`${name}.${SECRET}`)], addresses: ['10.0.0.0/8'] })),
        issued: names.map((name) => ({ producer: name, digest: hashToken(`${name}-1.${SECRET}`) })),
      },
      (refusal) => attempts.refused(refusal),
    );
    const showing = (name: string, tokenOf: (i: number) => string, addressOf: (i: number) => string): MicroCase => ({
      ...{ name, unit: 'token', count: ATTEMPTS },
      run() {
        // Not awaited: a refusal is answered late on purpose, and the wait costs a timer.
        for (let i = 0; i < ATTEMPTS; i++) void authenticator.authenticate(tokenOf(i), addressOf(i));
      },
    });
    const wrong = (i: number) => `${SECRET.slice(0, -4)}${1_000 + (i % 9_000)}`;
    return [
      showing(
        'right',
        (i) => `shop-${i % PRODUCERS}-1.${SECRET}`,
        () => ADDRESS,
      ),
      showing(
        'wrong, of an id that is known',
        (i) => `shop-${i % PRODUCERS}-1.${wrong(i)}`,
        () => ADDRESS,
      ),
      showing(
        'wrong, of an id that is not',
        (i) => `shop-${i % PRODUCERS}-2.${wrong(i)}`,
        () => ADDRESS,
      ),
      showing('wrong, each from another address', wrong, (i) => `10.${i & 255}.${(i >> 8) & 255}.${i % 251}`),
    ];
  },
};
