import type { Reply } from '../replies.ts';
import { describe } from './subjects.ts';
import type { Fleet, FleetClient } from './fleet.ts';

/** What is done over several connections; the transcripts of all fleets must be equal. */
export type FleetScenario = (script: FleetScript) => Promise<void>;

/** Runs commands over several connections, one after the other, and writes down what each of them receives. */
export class FleetScript {
  readonly transcript: string[] = [];
  readonly #fleet: Fleet;
  readonly #clients: { readonly client: FleetClient; seen: number }[] = [];
  #marks = 0;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /** Gives the number of a new connection. */
  async connect(server: number): Promise<number> {
    return this.#clients.push({ client: await this.#fleet.connect(server), seen: 0 }) - 1;
  }

  async run(number: number, ...args: string[]): Promise<void> {
    this.transcript.push(`${number}: ${args.map((arg) => arg.slice(0, 60)).join(' ')}`);
    this.#clients[number]!.client.send(args);
    await this.#settle(number);
    for (const i of this.#clients.keys()) if (i !== number) await this.#settle(i);
  }

  /** Waits for the answer to a mark, before which comes whatever was sent to the connection until now. */
  async #settle(number: number): Promise<void> {
    const connection = this.#clients[number]!;
    const mark = `mark ${++this.#marks}`;
    connection.client.send(['PING', mark]);
    const isMark = (reply: Reply) => reply === mark || (Array.isArray(reply) && reply[0] === 'pong' && reply[1] === mark);
    const { received } = connection.client;
    await this.#fleet.until(() => received.length > connection.seen && isMark(received.at(-1)!));
    for (const reply of received.slice(connection.seen, -1)) this.transcript.push(`  ${number} ← ${describe(reply, 0)}`);
    connection.seen = received.length;
  }
}

const PUBLISH = "return redis.call('PUBLISH', KEYS[1], ARGV[1])";

export const FLEET_SCENARIOS: Readonly<Record<string, FleetScenario>> = {
  'channels and who listens to them': async (script) => {
    const [a, b, c] = [await script.connect(0), await script.connect(0), await script.connect(0)];
    await script.run(c, 'PUBLISH', 'x', 'to nobody');
    await script.run(a, 'SUBSCRIBE', 'x', 'y', 'x');
    await script.run(b, 'SUBSCRIBE', 'y');
    await script.run(c, 'PUBLISH', 'x', 'one');
    await script.run(c, 'PUBLISH', 'y', 'two');
    await script.run(c, 'PUBLISH', 'z', 'of no interest');
    await script.run(c, 'PUBLISH', 'x');
    await script.run(a, 'UNSUBSCRIBE', 'x', 'z');
    await script.run(c, 'PUBLISH', 'x', 'not any more');
    await script.run(a, 'UNSUBSCRIBE');
    await script.run(a, 'UNSUBSCRIBE');
    await script.run(a, 'GET', 'key');
    await script.run(c, 'PUBLISH', 'y', 'three');
    await script.run(b, 'SUBSCRIBE');
  },

  'what a connection may send that listens': async (script) => {
    const a = await script.connect(0);
    await script.run(a, 'PING');
    await script.run(a, 'SUBSCRIBE', 'x');
    for (const args of [
      ['PING'],
      ['PING', 'text'],
      ['GET', 'key'],
      ['GET'],
      ['SET', 'key', 'v'],
      ['PUBLISH', 'x', 'to itself'],
      ['EVAL', 'return 1', '0'],
      ['EVALSHA', 'f'.repeat(40), '0'],
      ['script', 'LOAD', 'return 1'],
      ['CLIENT', 'SETNAME', 'name'],
      ['INFO', 'none'],
      ['SUBSCRIBE', 'y'],
      ['UNSUBSCRIBE', 'y'],
    ])
      await script.run(a, ...args);
  },

  'scripts that publish': async (script) => {
    const [a, b] = [await script.connect(0), await script.connect(0)];
    await script.run(a, 'SUBSCRIBE', 'x');
    await script.run(b, 'EVAL', PUBLISH, '1', 'x', 'one');
    await script.run(b, 'EVAL', PUBLISH, '1', 'y', 'to nobody');
    await script.run(b, 'EVAL', `#!lua flags=no-writes\n${PUBLISH}`, '1', 'x', 'refused');
    await script.run(b, 'EVAL', `#!lua flags=allow-oom\n${PUBLISH}`, '1', 'x', 'two');
    await script.run(b, 'EVAL', "return redis.call('PUBLISH', KEYS[1])", '1', 'x');
    await script.run(b, 'EVAL', "redis.call('PUBLISH', KEYS[1], 'before it fails') return redis.call('LLEN')", '1', 'x');
    await script.run(b, 'EVAL', "return redis.call('SUBSCRIBE', KEYS[1])", '1', 'x');
    await script.run(b, 'EVAL', "return redis.call('UNSUBSCRIBE')", '0');
  },

  'what a server that refuses writes publishes': async (script) => {
    const [a, b] = [await script.connect(0), await script.connect(0)];
    await script.run(a, 'SUBSCRIBE', 'x');
    for (const [name, value, well] of [
      ['maxmemory', '1', '0'],
      ['min-replicas-to-write', '1', '0'],
    ] as const) {
      await script.run(b, 'CONFIG', 'SET', name, value);
      await script.run(b, 'PUBLISH', 'x', name);
      await script.run(b, 'EVAL', PUBLISH, '1', 'x', 'by a script');
      await script.run(b, 'EVAL', `#!lua\n${PUBLISH}`, '1', 'x', 'by a script with flags');
      await script.run(b, 'CONFIG', 'SET', name, well);
    }
  },
};
