import { Redis, type RedisOptions } from 'ioredis';
import { createSecureContext } from 'node:tls';
import { messageOf, SyncError } from '../../core/errors.ts';
import { systemRandom, type Random } from '../../core/random.ts';
import { RECONNECT_CODES, redisError, redisMessage, replyCode } from './errors.ts';
import type { Script } from './scripts.ts';

/** Where Redis is and how to talk to it; plain data, so that it can be handed to a thread. */
export interface RedisLinkOptions {
  /** `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS. */
  readonly url: string;
  /** Certificates and keys as PEM text. */
  readonly tls?: RedisTlsOptions | undefined;
  /** How long a command may take; its outcome is unknown afterwards. */
  readonly commandTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  /** The driver; the real one when it is left out. Not for links that are handed to a thread. */
  readonly createDriver?: CreateDriver;
}

/** What a link needs of the driver, as ioredis has it. */
export interface Driver {
  on(event: 'ready' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  /** Sends a command; strings in the reply come as buffers. */
  callBuffer(name: string, ...args: Argument[]): Promise<unknown>;
  /** Ends the connection; with `reconnect` another one is made, without it this is for good. */
  disconnect(reconnect?: boolean): void;
}

/** Makes a driver that connects at once, and again for ever as its options say. */
export type CreateDriver = (options: RedisOptions) => Driver;

export interface RedisTlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What a link tells its owner. */
export interface LinkEvents {
  /** Connected and authenticated. */
  up(): void;
  /** The connection is gone, or an attempt failed; the next attempt is made without asking. */
  down(problem: SyncError): void;
  /** Something was published on a channel that was subscribed to. */
  message?(message: string): void;
}

export type Argument = string | number | Buffer;

const DEFAULT_COMMAND_TIMEOUT_MS = 2000;
const DEFAULT_CONNECT_TIMEOUT_MS = 2000;
const MAX_RETRY_DELAY_MS = 1000;
/** How often in a row commands may go unanswered, each sent after the one before was given up, until the connection is. */
const MAX_UNANSWERED = 2;

/**
 * One connection to Redis that is made again for ever. A command is sent once, now or not at all: nothing is queued
 * while the connection is away, and nothing is sent again by the driver. Each command is settled by its reply, its
 * deadline or the end of the connection, whichever comes first.
 *
 * down → up (connected) → down (lost) → up … → closed (by {@link RedisLink.close}).
 */
export class RedisLink {
  readonly #client: Driver;
  readonly #events: LinkEvents;
  readonly #secret: string | undefined;
  /** Rejects each command that waits for its reply. */
  readonly #pending = new Set<(error: SyncError) => void>();
  #up = false;
  /** The database that the URL names could not be selected on this connection. */
  #misplaced = false;
  #closed = false;
  #failureCount = 0;
  /** Commands without a reply, each sent after the one before had its deadline, since the last reply. */
  #unanswered = 0;
  #problem = away('not connected yet');

  /** Starts to connect. @throws {SyncError} `bad_config` when the URL or the TLS options cannot be used. */
  constructor(options: RedisLinkOptions, events: LinkEvents, random: Random = systemRandom) {
    const parsed = parseRedisUrl(options);
    this.#events = events;
    this.#secret = parsed.password;
    const driverOptions: RedisOptions = {
      ...parsed,
      protocol: 2,
      connectionName: 'syncline',
      disableClientInfo: true,
      // The owner looks at the state of Redis itself; the driver's check waits long while Redis loads.
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 1,
      connectTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      disconnectTimeout: 500,
      keepAlive: 5000,
      commandTimeout: options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS,
      // Longer than the deadline of a command: one slow reply does not cost the connection, silence does.
      socketTimeout: 2 * (options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS),
      reconnectOnError: (error) => this.#judgeReply(error),
      retryStrategy: () => {
        this.#failureCount++;
        return Math.min(50 * 2 ** Math.min(this.#failureCount - 1, 10), MAX_RETRY_DELAY_MS) * (0.5 + random.fraction() / 2);
      },
    };
    const { createDriver = createRedis } = options;
    this.#client = createDriver(driverOptions);
    this.#client.on('ready', () => {
      // The driver still becomes ready when it was told to disconnect in the middle of connecting.
      if (this.#closed) return;
      // The driver would go on in database 0, which may be another installation's.
      if (this.#misplaced) return this.#client.disconnect(true);
      this.#up = true;
      this.#unanswered = 0;
      events.up();
    });
    this.#client.on('error', (error: unknown) => {
      if (isAboutSelect(error)) this.#misplaced = true;
      this.#problem = away(redisMessage(error, this.#secret));
    });
    this.#client.on('close', () => {
      if (!this.#closed) this.#lost();
    });
    if (events.message !== undefined) this.#client.on('message', (_, message) => events.message?.(message));
  }

  get up(): boolean {
    return this.#up;
  }

  /** Tells that the connection serves its purpose: the next one to fail is tried again soon. */
  settled(): void {
    this.#failureCount = 0;
    this.#problem = away('the connection was closed');
  }

  /** Sends one command; strings in the reply come as buffers. @throws {SyncError} */
  command(name: string, ...args: Argument[]): Promise<unknown> {
    return this.#send(name, args).catch((error: unknown) => {
      throw redisError(error, this.#secret);
    });
  }

  /** Runs a script, by its digest when Redis knows it. @throws {SyncError} */
  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    try {
      return await this.#send('EVALSHA', [script.sha, ...rest]);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw redisError(error, this.#secret);
    }
    return this.command('EVAL', script.source, ...rest);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#problem = away('the queue is closed');
    this.#client.disconnect();
    this.#lost();
  }

  #send(name: string, args: Argument[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.#up) return reject(this.#problem);
      this.#pending.add(reject);
      const unanswered = this.#unanswered;
      void this.#client
        .callBuffer(name, ...args)
        .then(
          (reply) => {
            this.#unanswered = 0;
            resolve(reply);
          },
          (error: Error) => {
            this.#noteFailure(error, unanswered);
            reject(error);
          },
        )
        .finally(() => this.#pending.delete(reject));
    });
  }

  /**
   * Gives up a connection on which bytes may come but no replies do, as after a length that was damaged on the way: the
   * driver would wait for the rest of that reply for ever. `unanswered` is how many there were when the command was sent.
   */
  #noteFailure(error: unknown, unanswered: number): void {
    if (replyCode(error) !== undefined) this.#unanswered = 0;
    // Of those that were sent together, one counts; one that ended with its connection does not.
    else if (this.#up && unanswered === this.#unanswered && ++this.#unanswered >= MAX_UNANSWERED) this.#client.disconnect(true);
  }

  /** 1 makes the driver connect anew; 2 would send the command again. */
  #judgeReply(error: Error): 1 | false {
    // Once for all commands in flight: each time, the driver adds a listener to the socket.
    if (!this.#up || !RECONNECT_CODES.has(replyCode(error) ?? '')) return false;
    this.#up = false;
    this.#problem = redisError(error, this.#secret);
    return 1;
  }

  /** The driver forgets commands whose connection died without settling them; here they end at once. */
  #lost(): void {
    this.#up = false;
    this.#misplaced = false;
    for (const reject of [...this.#pending]) reject(this.#problem);
    this.#pending.clear();
    this.#events.down(this.#problem);
  }
}

function createRedis(options: RedisOptions): Driver {
  return new Redis({ ...options, replyMapping: 'legacy' });
}

function isAboutSelect(error: unknown): boolean {
  return replyCode(error) !== undefined && (error as { command?: { name?: unknown } }).command?.name === 'select';
}

function away(reason: string): SyncError {
  return new SyncError('queue_unavailable', `redis cannot be reached: ${reason}`);
}

function parseRedisUrl(options: RedisLinkOptions): RedisOptions & { password?: string } {
  const bad = (why: string) => new SyncError('bad_config', `queue.url ${why}; write redis://[user:password@]host[:port][/db]`);
  const url = URL.parse(options.url);
  if (url === null || url.hostname === '') throw bad('is not a valid URL');
  const secure = url.protocol === 'rediss:';
  if (!secure && url.protocol !== 'redis:') throw bad(`has the scheme ${url.protocol}`);
  const db = /^\/?(\d*)$/.exec(url.pathname)?.[1];
  if (db === undefined) throw bad('must end in the number of a database');
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(db),
    ...(url.username === '' ? {} : { username: decode(url.username, bad) }),
    ...(url.password === '' ? {} : { password: decode(url.password, bad) }),
    ...(secure ? { tls: tlsOptions(options.tls ?? {}, url.hostname) } : {}),
  };
}

function decode(text: string, bad: (why: string) => SyncError): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw bad('has a % that begins no escape in its user or password');
  }
}

function tlsOptions(tls: RedisTlsOptions, hostname: string): NonNullable<RedisOptions['tls']> {
  const { rejectUnauthorized = true, ...pem } = tls;
  try {
    // The driver would give up for ever on certificates that cannot be read.
    createSecureContext(pem);
  } catch (error) {
    throw new SyncError('bad_config', `queue.tls cannot be used: ${messageOf(error)}`);
  }
  return { ...pem, rejectUnauthorized, minVersion: 'TLSv1.2', ...(/^[\d.]+$|^\[/.test(hostname) ? {} : { servername: hostname }) };
}
