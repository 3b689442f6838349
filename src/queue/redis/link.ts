import { Redis, type RedisOptions } from 'ioredis';
import { SyncError } from '../../core/errors.ts';
import { systemRandom, type Random } from '../../core/random.ts';
import type { RedisAddress } from '../../core/redis-url.ts';
import { connectMessage, RECONNECT_CODES, redisError, replyCode } from './errors.ts';
import { masterConnector, type MasterFinder } from './master-connector.ts';
import { hasPieces, PiecesCommand, type Pieces } from './pieces.ts';
import type { Script } from './scripts.ts';
import { readRedisUrl, serverOptions, tlsOptions, type RedisTlsOptions } from './server-options.ts';

/** Where Redis is and how to talk to it; plain data, so that it can be handed to a thread. */
export interface RedisLinkOptions {
  /** What `queue.url` may be: see `core/redis-url.ts`. A link to one server of several needs {@link LinkTarget} besides. */
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
  /** The same for what has an argument in pieces. */
  sendCommand(command: PiecesCommand): unknown;
  /** Ends the connection; with `reconnect` another one is made, without it this is for good. */
  disconnect(reconnect?: boolean): void;
  /** What it makes its next connection with. */
  readonly options?: object;
}

/** What one logs in with, at the place where Redis is. */
export type RedisAccess = Pick<RedisLinkOptions, 'url' | 'tls'>;

/**
 * Makes a driver that connects at once, and again for ever as its options say: to the host that they name, or to where
 * `find` leads, which is asked for each connection.
 */
export type CreateDriver = (options: RedisOptions, find?: MasterFinder['find']) => Driver;

/** Which server a link leads to: the one that the URL names, another one with its user, or whichever is the master. */
export type LinkTarget = { readonly address: RedisAddress } | { readonly finder: MasterFinder } | undefined;

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

export type Command = readonly [name: string, ...args: (Argument | Pieces)[]];

/** `asking`: the key is being handed to this server, and the one that still has its slot sent us here. */
export type Passage = 'owner' | 'asking';

const DEFAULT_COMMAND_TIMEOUT_MS = 2000;
const DEFAULT_CONNECT_TIMEOUT_MS = 2000;
const DISCONNECT_TIMEOUT_MS = 500;
const MAX_RETRY_DELAY_MS = 1000;
/** How often in a row commands may go unanswered, each sent after the one before was given up, until the connection is. */
const MAX_UNANSWERED = 2;

/**
 * One connection to Redis that is made again for ever. A command is sent once, now or not at all: nothing is queued
 * while the connection is away, and nothing is sent again by the driver. Each command is settled by its reply, its
 * deadline or the end of the connection, whichever comes first.
 *
 * down → up (connected; to a master that was to be found: seen to be one) → down (lost) → up … → closed (by
 * {@link RedisLink.close}).
 */
export class RedisLink {
  readonly #client: Driver;
  readonly #events: LinkEvents;
  #secret: string | undefined;
  /** Where the connections lead as long as no master is found. */
  readonly #address: RedisAddress;
  /** Undefined without TLS. */
  #tls: RedisTlsOptions | undefined;
  /** Rejects each command that waits for its reply. */
  readonly #pending = new Set<(error: SyncError) => void>();
  readonly #stopWatching: (() => void) | undefined;
  /** Where the connection leads, when that had to be found. */
  #found: RedisAddress | undefined;
  #connection = 0;
  #up = false;
  /** The database that the URL names could not be selected on this connection. */
  #misplaced = false;
  #closed = false;
  #failureCount = 0;
  /** Commands without a reply, each sent after the one before had its deadline, since the last reply. */
  #unanswered = 0;
  #problem = away('not connected yet');

  /** Starts to connect. @throws {SyncError} `bad_config` when the URL or the TLS options cannot be used. */
  constructor(options: RedisLinkOptions, events: LinkEvents, random: Random = systemRandom, target?: LinkTarget) {
    const url = readRedisUrl(options.url);
    const finder = target !== undefined && 'finder' in target ? target.finder : undefined;
    const address = target !== undefined && 'address' in target ? target.address : url.addresses[0];
    this.#events = events;
    this.#secret = url.password;
    this.#address = address;
    this.#tls = url.secure ? (options.tls ?? {}) : undefined;
    const driverOptions: RedisOptions = {
      ...serverOptions(url, address, options.tls),
      protocol: 2,
      connectionName: 'syncline',
      disableClientInfo: true,
      // The owner looks at the state of Redis itself; the driver's check waits long while Redis loads.
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // The driver would look at no answer to that, and a failure would end the process.
      autoResubscribe: false,
      maxRetriesPerRequest: 1,
      connectTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
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
    const { createDriver = (driver, find) => this.#createRedis(driver, find) } = options;
    this.#client = createDriver(driverOptions, finder && (() => this.#find(finder)));
    this.#client.on('ready', () => {
      // The driver still becomes ready when it was told to disconnect in the middle of connecting.
      if (this.#closed) return;
      // The driver would go on in database 0, which may be another installation's.
      if (this.#misplaced) return this.#client.disconnect(true);
      if (finder === undefined) this.#rise();
      else void this.#riseIfMaster();
    });
    this.#client.on('error', (error: unknown) => {
      if (isAboutSelect(error)) this.#misplaced = true;
      this.#problem = error instanceof SyncError ? error : away(this.#explain(error));
    });
    this.#client.on('close', () => {
      if (!this.#closed) this.#lost();
    });
    this.#stopWatching = finder?.watch((master) => this.#follow(master));
    if (events.message !== undefined) this.#client.on('message', (_, message) => events.message?.(message));
  }

  get up(): boolean {
    return this.#up;
  }

  /**
   * Logs in with these from the next connection on; the place in the URL does not count. The connection that is up stays.
   * @throws {SyncError} `bad_config` as the constructor does.
   */
  useAccess({ url, tls }: RedisAccess): void {
    const { username, password, secure } = readRedisUrl(url);
    this.#secret = password;
    this.#tls = secure ? (tls ?? {}) : undefined;
    Object.assign(this.#client.options ?? {}, { username, password, tls: this.#tls && tlsOptions(this.#tls, this.#address.host) });
  }

  /** Counts connections that came up: where it is the same before and after, all went over one connection. */
  get connection(): number {
    return this.#connection;
  }

  /** Tells that the connection serves its purpose: the next one to fail is tried again soon. */
  settled(): void {
    this.#failureCount = 0;
    this.#problem = away('the connection was closed');
  }

  /** Sends one command; strings in the reply come as buffers. @throws {SyncError} */
  command(name: string, args: readonly Argument[], passage: Passage = 'owner'): Promise<unknown> {
    return this.#pass(name, args, passage).catch((error: unknown) => {
      throw redisError(error, this.#secret);
    });
  }

  /** Runs a script, by its digest when Redis knows it; the command `ahead` is sent directly before it. @throws {SyncError} */
  async run(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    passage: Passage = 'owner',
    ahead?: Command,
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    const first = ahead && this.#pass(ahead[0], ahead.slice(1), passage);
    try {
      const [reply] = await Promise.all([this.#pass('EVALSHA', [script.sha, ...rest], passage), first]);
      return reply;
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw redisError(error, this.#secret);
    }
    return this.command('EVAL', [script.source, ...rest], passage);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#problem = away('the queue is closed');
    this.#stopWatching?.();
    this.#client.disconnect();
    this.#lost();
  }

  #rise(): void {
    this.#up = true;
    this.#connection++;
    this.#unanswered = 0;
    this.#events.up();
  }

  /** An old master may come back, and who named it may not have heard what happened since. */
  async #riseIfMaster(): Promise<void> {
    const found = this.#found;
    try {
      const [role] = (await this.#client.callBuffer('ROLE')) as unknown[];
      if (this.#closed || found !== this.#found) return;
      if (String(role) === 'master') return this.#rise();
      this.#problem = new SyncError('queue_readonly', `redis: ${nameOf(found)} is a replica, and is named as the master`);
    } catch (error) {
      if (this.#closed || found !== this.#found) return;
      this.#problem = redisError(error, this.#secret);
    }
    this.#client.disconnect(true);
  }

  #explain(error: unknown): string {
    const speaks = this.#tls === undefined ? 'plain' : 'tls';
    return connectMessage(error, this.#secret, nameOf(this.#found ?? this.#address), this.#connection > 0 ? 'agreed' : speaks);
  }

  #follow(master: RedisAddress): void {
    if (!this.#up || this.#closed || nameOf(master) === nameOf(this.#found)) return;
    this.#up = false;
    this.#problem = away(`${nameOf(this.#found)} is no longer the master, ${nameOf(master)} is`);
    this.#client.disconnect(true);
  }

  async #find(finder: MasterFinder): Promise<RedisAddress> {
    // A new object each time, so that it also tells one connection from the next.
    this.#found = { ...(await finder.find()) };
    return this.#found;
  }

  #createRedis(options: RedisOptions, find: MasterFinder['find'] | undefined): Driver {
    const tlsFor = this.#tls && ((host: string) => tlsOptions(this.#tls ?? {}, host));
    return new Redis({
      ...options,
      ...(find && { Connector: masterConnector(find, tlsFor, DISCONNECT_TIMEOUT_MS) }),
      replyMapping: 'legacy',
    });
  }

  #pass(name: string, args: readonly (Argument | Pieces)[], passage: Passage): Promise<unknown> {
    // It holds for the next command only, and nothing comes in between. Were it refused, that one would be too.
    if (passage === 'asking') this.#send('ASKING', []).catch(() => {});
    return this.#send(name, args);
  }

  #send(name: string, args: readonly (Argument | Pieces)[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.#up) return reject(this.#problem);
      this.#pending.add(reject);
      const unanswered = this.#unanswered;
      const sent = hasPieces(args)
        ? (this.#client.sendCommand(new PiecesCommand(name, args)) as Promise<unknown>)
        : this.#client.callBuffer(name, ...(args as Argument[]));
      void sent
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

function nameOf(address: RedisAddress | undefined): string {
  return address === undefined ? 'no server' : `${address.host}:${address.port}`;
}

function isAboutSelect(error: unknown): boolean {
  return replyCode(error) !== undefined && (error as { command?: { name?: unknown } }).command?.name === 'select';
}

function away(reason: string): SyncError {
  return new SyncError('queue_unavailable', `redis cannot be reached: ${reason}`);
}
