import type { RedisOptions } from 'ioredis';
import type { Argument, Driver } from '../../../../src/queue/redis/link.ts';
import { PiecesCommand, type Pieces } from '../../../../src/queue/redis/pieces.ts';
import type { DriverWorld } from './driver-worlds.ts';

/** What is done to a driver and its server; the journals of all worlds must be equal. */
export type DriverScenario = (stage: Stage) => Promise<void>;

/** How much slower than written everything goes, so that a busy machine does not change the order of events. */
const SLOWNESS = 2;

/** As links pass them, but for shorter times. */
const OPTIONS: RedisOptions = {
  db: 0,
  protocol: 2,
  connectionName: 'syncline',
  disableClientInfo: true,
  enableReadyCheck: false,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 1,
  connectTimeout: 500 * SLOWNESS,
  disconnectTimeout: 200 * SLOWNESS,
  keepAlive: 5000,
  commandTimeout: 400 * SLOWNESS,
  socketTimeout: 800 * SLOWNESS,
};
/** Long enough for whatever has no deadline. */
const SOON_MS = 150;

/** Writes down what a driver tells, in its order. */
export class Stage {
  readonly world: DriverWorld;
  readonly journal: string[] = [];
  #driver: Driver | undefined;

  constructor(world: DriverWorld) {
    this.world = world;
  }

  /** Makes the driver, which connects at once. */
  connect(options: RedisOptions = {}): void {
    const retryStrategy = (times: number) => {
      this.#note(times > 2 ? 'retry once more' : `retry ${times}`);
      return 100 * SLOWNESS;
    };
    const driver = this.world.createDriver({ ...OPTIONS, retryStrategy, ...options });
    driver.on('ready', () => this.journal.push('ready'));
    driver.on('close', () => this.#note('close'));
    driver.on('error', (error) => {
      // Whether the end of a process breaks a connection or closes it depends on what its kernel holds.
      if (!/^(read ECONNRESET|write EPIPE)/.test((error as Error).message)) this.journal.push(`error: ${textOf(error)}`);
    });
    driver.on('message', (channel, message) => this.journal.push(`message on ${channel}: ${message}`));
    this.#driver = driver;
  }

  /** Sends a command, and writes down what becomes of it. */
  send(name: string, ...args: Argument[]): void {
    this.#tell(this.#driver!.callBuffer(name, ...args), name, args);
  }

  /** The same where arguments are in pieces. */
  sendPieces(name: string, ...args: (Argument | Pieces)[]): void {
    this.#tell(this.#driver!.sendCommand(new PiecesCommand(name, args)) as Promise<unknown>, name, args);
  }

  #tell(answered: Promise<unknown>, name: string, args: readonly unknown[]): void {
    const command = [name, ...args.map((arg) => String(arg).slice(0, 20))].join(' ');
    answered.then(
      (reply) => this.journal.push(`${command}: ${JSON.stringify(reply, (_, value: unknown) => readable(value))}`),
      (error: unknown) => this.journal.push(`${command} fails: ${textOf(error)}`),
    );
  }

  disconnect(): void {
    this.journal.push('disconnect');
    this.#driver!.disconnect();
  }

  /** Lets time pass. */
  pass(ms: number = SOON_MS): Promise<void> {
    return this.world.sleep(ms * SLOWNESS);
  }

  #note(line: string): void {
    this.journal.push(line);
    // How often a driver tries while a server starts is a matter of time.
    const [before, last] = [this.journal.slice(-6, -3), this.journal.slice(-3)];
    if (line === 'close' && last.includes('retry once more') && before.join() === last.join()) this.journal.splice(-3);
  }
}

export const DRIVER_SCENARIOS: Readonly<Record<string, DriverScenario>> = {
  'commands and their replies': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    stage.send('GET', 'too early');
    stage.sendPieces('SET', 'too early', [Buffer.from('a')]);
    await stage.pass();
    stage.sendPieces('SET', 'ü', [Buffer.from('ab'), Buffer.alloc(0), Buffer.from([0, 255])], 'PX', 60_000);
    stage.send('GETRANGE', 'ü', 0, -1);
    stage.sendPieces('SET', 'nothing', [], 'what');
    stage.send('SET', 'key', Buffer.from([0, 255, 128]));
    stage.send('set', 'name', 'ü€');
    stage.send('GET', 'key');
    stage.send('GET', 'name');
    stage.send('EVAL', 'return { 1, "a", false, { 2 } }', 0);
    stage.send('HINCRBY', 'hash', 'field', 7);
    stage.send('LLEN', 'key');
    stage.send('GET');
    await stage.pass();
    stage.send('GET', 'answered before the end');
    stage.disconnect();
    stage.send('GET', 'too late');
    await stage.pass();
    stage.send('GET', 'much too late');
    await stage.pass(300);
  },

  'channels and their messages': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.pass();
    stage.send('unsubscribe', 'none');
    stage.send('unsubscribe');
    stage.send('subscribe');
    stage.send('PING');
    stage.send('PUBLISH', 'a', 'to nobody');
    stage.send('subscribe', 'a', 'b');
    stage.send('subscribe', 'c');
    await stage.pass();
    stage.send('GET', 'key');
    stage.send('PING');
    stage.send('PING', 'text');
    await stage.pass();
    await stage.world.publish('a', 'one');
    await stage.world.publish('none', 'of it');
    await stage.world.publish('c', Buffer.from('ü€').toString('latin1'));
    await stage.pass();
    stage.send('subscribe', 'a');
    stage.send('unsubscribe', 'a', 'none');
    await stage.pass();
    await stage.world.publish('a', 'not any more');
    await stage.world.publish('b', 'two');
    await stage.pass();
    stage.send('unsubscribe');
    await stage.pass();
    await stage.world.publish('b', 'not any more');
    stage.send('GET', 'key');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'channels that nobody subscribes to again when the connection is lost': async (stage) => {
    await stage.world.startServer();
    stage.connect({ autoResubscribe: false });
    await stage.pass();
    stage.send('subscribe', 'a');
    await stage.pass();
    await stage.world.killServer();
    await stage.pass(40);
    await stage.world.startServer();
    await stage.pass(300);
    await stage.world.publish('a', 'lost');
    stage.send('PING');
    stage.send('subscribe', 'a');
    await stage.pass();
    await stage.world.publish('a', 'one');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'channels that the driver subscribes to again': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.pass();
    stage.send('subscribe', 'a', 'b');
    await stage.pass();
    stage.send('unsubscribe', 'a');
    await stage.pass();
    await stage.world.killServer();
    await stage.pass(40);
    await stage.world.startServer();
    await stage.pass(300);
    await stage.world.publish('a', 'lost');
    await stage.world.publish('b', 'one');
    stage.send('GET', 'key');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'silence on a connection that only listens': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.pass();
    stage.send('subscribe', 'a');
    await stage.pass();
    await stage.world.pauseServer();
    await stage.pass(900);
    stage.send('PING');
    await stage.pass(450);
    await stage.pass(450);
    await stage.world.resumeServer();
    await stage.pass(300);
    await stage.world.publish('a', 'one');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'a server that is not there, and comes': async (stage) => {
    stage.connect();
    await stage.pass(450);
    await stage.world.startServer();
    await stage.pass(300);
    stage.send('PING');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'a server that dies with commands in flight': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.pass();
    await stage.world.pauseServer();
    stage.send('SET', 'a', '1');
    stage.send('SET', 'b', '1');
    await stage.world.sleep(20 * SLOWNESS);
    await stage.world.killServer();
    await stage.pass(40);
    stage.send('GET', 'nowhere');
    await stage.pass(600);
    await stage.world.startServer();
    await stage.pass(300);
    stage.send('GET', 'a');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'a server that dies and is back before the deadline of a command': async (stage) => {
    await stage.world.startServer();
    stage.connect({ commandTimeout: 3000, retryStrategy: () => 1000 });
    await stage.pass();
    await stage.world.pauseServer();
    stage.send('SET', 'a', '1');
    await stage.world.sleep(50);
    await stage.world.killServer();
    await stage.world.startServer();
    await stage.pass(600);
    stage.send('GET', 'a');
    await stage.pass(1000);
    stage.disconnect();
    await stage.pass();
  },

  'commands that are sent again over the next connection': async (stage) => {
    await stage.world.startServer();
    stage.connect({ autoResendUnfulfilledCommands: true, maxRetriesPerRequest: null, commandTimeout: 10_000, socketTimeout: 10_000 });
    await stage.pass();
    await stage.world.pauseServer();
    stage.send('SET', 'a', '1');
    stage.send('GET', 'a');
    await stage.world.sleep(20 * SLOWNESS);
    await stage.world.killServer();
    await stage.pass(250);
    await stage.world.startServer();
    await stage.pass(300);
    stage.disconnect();
    await stage.pass();
  },

  'a server that is paused': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.pass();
    await stage.world.pauseServer();
    stage.send('GET', 'a');
    await stage.pass(100);
    stage.send('GET', 'b');
    await stage.pass(450);
    // The silence ends the connection; the kernel accepts the next one, whose handshake ends by its deadline.
    await stage.pass(400);
    stage.send('GET', 'c');
    await stage.pass(400);
    stage.send('GET', 'd');
    await stage.world.resumeServer();
    await stage.pass();
    stage.send('GET', 'e');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'a reply that comes after the deadline': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.pass();
    await stage.world.pauseServer();
    stage.send('SET', 'a', '1');
    await stage.pass(550);
    await stage.world.resumeServer();
    await stage.pass();
    stage.send('GET', 'a');
    stage.send('LLEN', 'none');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'an error that asks for another connection': async (stage) => {
    await stage.world.startServer();
    stage.connect({ reconnectOnError: (error) => error.message.startsWith('READONLY') && 1 });
    await stage.pass();
    await stage.world.setRole('replica');
    stage.send('GET', 'before');
    stage.send('SET', 'a', '1');
    stage.send('GET', 'behind');
    await stage.pass(300);
    await stage.world.setRole('master');
    stage.send('SET', 'a', '1');
    await stage.pass();
    stage.disconnect();
    await stage.pass();
  },

  'an error after which a command cannot be sent again': async (stage) => {
    await stage.world.startServer();
    stage.connect({ reconnectOnError: () => 2 });
    await stage.pass();
    stage.send('LLEN');
    stage.send('GET', 'behind');
    await stage.pass(300);
    stage.disconnect();
    await stage.pass();
  },

  'an error after which a command is sent again': async (stage) => {
    await stage.world.startServer();
    let failures = 0;
    stage.connect({ enableOfflineQueue: true, reconnectOnError: () => (failures++ === 0 ? 2 : false) });
    await stage.pass();
    stage.send('LLEN');
    stage.send('GET', 'behind');
    await stage.pass(300);
    stage.disconnect();
    await stage.pass();
  },

  'commands that wait for the connection': async (stage) => {
    stage.connect({ enableOfflineQueue: true, commandTimeout: 10_000 });
    stage.send('SET', 'a', '1');
    await stage.pass(50);
    stage.send('GET', 'a');
    await stage.world.startServer();
    await stage.pass(300);
    stage.send('GET', 'a');
    await stage.pass();
    stage.disconnect();
    stage.send('GET', 'b');
    await stage.pass(400);
  },

  'the end at once': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    stage.disconnect();
    await stage.pass(400);
    stage.send('GET', 'a');
    await stage.pass();
  },

  'the end while the connection is made': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.world.tick();
    stage.disconnect();
    stage.send('GET', 'a');
    await stage.pass(400);
    stage.send('GET', 'b');
    await stage.pass();
  },

  'the end while there is no connection': async (stage) => {
    stage.connect();
    await stage.pass(150);
    stage.disconnect();
    await stage.world.startServer();
    stage.send('GET', 'a');
    await stage.pass(500);
  },

  'the end while the server is paused': async (stage) => {
    await stage.world.startServer();
    stage.connect();
    await stage.pass();
    await stage.world.pauseServer();
    stage.send('GET', 'a');
    stage.disconnect();
    await stage.pass(100);
    stage.send('GET', 'b');
    await stage.pass(500);
    await stage.world.resumeServer();
    await stage.pass();
  },
};

function textOf(error: unknown): string {
  const { name, message } = error as Error;
  return `${name} ${message.replace(/^(connect E[A-Z]+).*$/, '$1')}`;
}

function readable(value: unknown): unknown {
  const isBuffer = typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer';
  return isBuffer ? `bytes ${Buffer.from((value as { data: number[] }).data).toString('latin1')}` : value;
}
