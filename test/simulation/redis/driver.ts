import { ReplyError } from 'ioredis';
import type { Clock, Timer } from '../../../src/core/clock.ts';
import type { Argument, CreateDriver, Driver } from '../../../src/queue/redis/link.ts';
import type { PiecesCommand } from '../../../src/queue/redis/pieces.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import { Together, type Wire } from '../world/wire.ts';
import { NotSimulated } from './commands.ts';
import { END_OF_COMMANDS } from './connection.ts';
import { DriverChannels } from './driver-channels.ts';
import { driverOptions, type DriverOptions } from './driver-options.ts';
import { tooManyRetries, toBytes, toText, toValue } from './driver-values.ts';
import { ErrorReply, type Reply } from './replies.ts';

const CLOSED = 'Connection is closed.';
const ONLY_SUBSCRIBER = 'Connection in subscriber mode, only subscriber commands may be used';
const NOT_WRITABLE = "Stream isn't writeable and enableOfflineQueue options is false";

const IN_SUBSCRIBER_MODE = new Set(['subscribe', 'unsubscribe', 'ping']);

/**
 * Makes drivers for the process that runs on `host` now, whose timers are those of `clock`. They connect to `service` on
 * the network whatever the URL says, or without one to where they are told, by `find` or as the host of the options; and
 * behave as ioredis 6.0.0 with the options that a link passes.
 */
export function driverFactory(host: Host, clock: Clock, network: Network, service?: string): CreateDriver {
  return (options, find) => {
    const complete = driverOptions(options);
    return new SimDriver(host, clock, network, find ?? service ?? complete.host ?? 'localhost', complete);
  };
}

/** Where a connection is to go: a service, or what is found out for each one, as by a connector of ioredis. */
type Target = string | NonNullable<Parameters<CreateDriver>[1]>;

/** What listeners are given. */
interface Events {
  ready: [];
  close: [];
  error: [error: unknown];
  message: [channel: string, message: string];
  messageBuffer: [channel: Buffer, message: Buffer];
}

/** A command that was given to the driver. */
class Command {
  readonly name: string;
  readonly args: readonly string[];
  isSettled = false;
  timer: Timer | undefined;
  readonly #onReply: (value: unknown) => void;
  readonly #onFailure: (error: unknown) => void;

  constructor(name: string, args: readonly string[], onReply: (value: unknown) => void, onFailure: (error: unknown) => void) {
    this.name = name;
    this.args = args;
    this.#onReply = onReply;
    this.#onFailure = onFailure;
  }

  resolve(value: unknown): void {
    this.#settle();
    this.#onReply(value);
  }

  reject(error: unknown): void {
    this.#settle();
    this.#onFailure(error);
  }

  #settle(): void {
    this.isSettled = true;
    this.timer?.cancel();
    this.timer = undefined;
  }
}

/** A socket as the driver sees it. */
interface Socket {
  wire: Wire | undefined;
  /** `ended`: nothing more is sent, and the end of the other side is awaited. */
  state: 'connecting' | 'open' | 'ended' | 'destroyed';
  /** Written and not on its way yet. */
  unsent: (readonly string[])[];
}

/**
 * ioredis in small: the same states, queues and timers, on virtual time.
 *
 * connecting → connect (handshake) → ready → close → reconnecting → connecting …; close → end after {@link disconnect}.
 */
class SimDriver implements Driver {
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #network: Network;
  readonly #target: Target;
  readonly #options: DriverOptions;
  readonly #listeners: { readonly [E in keyof Events]: ((...args: Events[E]) => void)[] } = {
    ready: [],
    close: [],
    error: [],
    message: [],
    messageBuffer: [],
  };
  #status: 'connecting' | 'connect' | 'ready' | 'close' | 'reconnecting' | 'end' = 'end';
  /** Sent, and not answered. */
  #commandQueue: Command[] = [];
  /** Sent over a connection that was lost. */
  #unfulfilled: Command[] | undefined;
  #offlineQueue: Command[] = [];
  #channels = this.#newChannels();
  /** What the last connection that was ready listened to. */
  #channelsBefore: readonly string[] | undefined;
  #socket: Socket | undefined;
  #epoch = 0;
  #retryAttempts = 0;
  #isClosing = false;
  #reconnectTimer: Timer | undefined;
  #socketTimer: Timer | undefined;
  /** The process that made this driver is gone. */
  #isDead = false;

  constructor(host: Host, clock: Clock, network: Network, target: Target, options: DriverOptions) {
    this.#host = host;
    this.#clock = clock;
    this.#network = network;
    this.#target = target;
    this.#options = options;
    host.onCrash.add(() => (this.#isDead = true));
    this.#connect();
  }

  on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): this {
    this.#listeners[event].push(listener);
    return this;
  }

  callBuffer(name: string, ...args: Argument[]): Promise<unknown> {
    // ioredis fails outside of any promise when it is answered.
    if (name.length > 8 && /^(un)?subscribe$/i.test(name) && name !== name.toLowerCase())
      throw new NotSimulated(`${name} but in lower case`);
    return new Promise((resolve, reject) => {
      this.#send(new Command(name, args.map(toBytes), resolve, reject));
    });
  }

  /** What is large leaves by itself: the connection may end behind it, and others may come in between. */
  async sendCommand({ name, parts }: PiecesCommand): Promise<unknown> {
    const args = parts.slice(1).map((part) => (Array.isArray(part) ? Buffer.concat(part) : (part as Argument)));
    const reply = this.callBuffer(name, ...args);
    if (this.#socket !== undefined) this.#flush(this.#socket);
    return reply;
  }

  disconnect(reconnect = false): void {
    if (!reconnect) {
      this.#isClosing = true;
      this.#reconnectTimer?.cancel();
      this.#reconnectTimer = undefined;
    }
    this.#endSocket();
  }

  // Connecting

  #connect(): void {
    this.#epoch++;
    this.#status = 'connecting';
    this.#channels = this.#newChannels();
    const socket: Socket = { wire: undefined, state: 'connecting', unsent: [] };
    // As ioredis, which opens its socket in the next tick.
    queueMicrotask(() => {
      if (this.#isClosing) {
        this.#rejectAll(new Error(CLOSED));
        this.#status = 'end';
        return;
      }
      this.#socket = socket;
      const target = this.#target;
      if (typeof target === 'string') return this.#dial(socket, target);
      target().then(
        ({ host }) => this.#dial(socket, host),
        (error: unknown) => this.#destroy(socket, error as Error),
      );
    });
  }

  #dial(socket: Socket, service: string): void {
    // Told to disconnect while it was found out where to go.
    if (socket.state !== 'connecting') return this.#destroy(socket, new Error('the connection was closed'));
    this.#network.dial(this.#host, service, this.#options.connectTimeout).then(
      (wire) => this.#connected(socket, wire),
      (error: unknown) => this.#refused(socket, error as Error),
    );
  }

  #refused(socket: Socket, error: Error): void {
    if (this.#isDead || socket.state === 'destroyed') return;
    // ioredis counts itself how long it waits, and does not name where it wanted to go.
    const problem = error.message.startsWith('connect ETIMEDOUT') ? new Error('connect ETIMEDOUT') : error;
    this.#destroy(socket, problem);
  }

  #connected(socket: Socket, wire: Wire): void {
    if (this.#isDead || socket.state === 'destroyed') {
      wire.reset();
      return;
    }
    socket.wire = wire;
    wire.open({
      message: (message) => {
        for (const reply of (message as Together).messages) this.#received(socket, reply as Reply);
      },
      closed: (error) => this.#destroy(socket, error),
    });
    // Disconnected while the connection was made: it is made all the same, and ended.
    if (socket.state === 'ended') wire.send(END_OF_COMMANDS);
    else socket.state = 'open';
    this.#commandQueue = [];
    this.#status = 'connect';
    const epoch = this.#epoch;
    const ready = () => {
      if (epoch === this.#epoch && this.#status === 'connect') this.#ready();
    };
    const { connectionName } = this.#options;
    if (typeof connectionName !== 'string') {
      queueMicrotask(ready);
      return;
    }
    // Whatever becomes of it, the connection is ready then.
    this.#send(new Command('client', ['setname', toBytes(connectionName)], ready, ready));
  }

  #ready(): void {
    this.#status = 'ready';
    queueMicrotask(() => this.#emit('ready'));
    this.#retryAttempts = 0;
    const channels = this.#options.autoResubscribe ? (this.#channelsBefore ?? []) : [];
    this.#channelsBefore = undefined;
    if (channels.length > 0) this.#send(new Command('subscribe', channels, () => {}, unhandled));
    const again = this.#options.autoResendUnfulfilledCommands ? (this.#unfulfilled ?? []) : [];
    this.#unfulfilled = undefined;
    for (const command of again) this.#send(command);
    const waiting = this.#offlineQueue;
    this.#offlineQueue = [];
    for (const command of waiting) this.#send(command);
  }

  // Commands

  #send(command: Command): void {
    if (this.#status === 'end') {
      command.reject(new Error(CLOSED));
      return;
    }
    if (this.#channels.isSubscriber && !IN_SUBSCRIBER_MODE.has(command.name.toLowerCase())) {
      command.reject(new Error(ONLY_SUBSCRIBER));
      return;
    }
    const { commandTimeout } = this.#options;
    if (commandTimeout !== undefined)
      command.timer ??= this.#clock.setTimer(commandTimeout, () => {
        if (!command.isSettled) command.reject(new Error('Command timed out'));
      });
    const isHandshake = this.#status === 'connect' && command.name === 'client';
    const socket = this.#socket;
    if ((this.#status !== 'ready' && !isHandshake) || socket?.state !== 'open') {
      if (this.#options.enableOfflineQueue) this.#offlineQueue.push(command);
      else command.reject(new Error(NOT_WRITABLE));
      return;
    }
    this.#write(socket, [command.name, ...command.args]);
    this.#commandQueue.push(command);
    if (this.#options.socketTimeout !== undefined && this.#socketTimer === undefined) this.#setSocketTimer(socket);
  }

  /** What is written in one go leaves in one piece. */
  #write(socket: Socket, message: readonly string[]): void {
    socket.unsent.push(message);
    if (socket.unsent.length === 1) queueMicrotask(() => this.#flush(socket));
  }

  #flush(socket: Socket): void {
    if (socket.unsent.length === 0 || socket.state === 'destroyed') return;
    const messages = socket.unsent;
    socket.unsent = [];
    let bytes = 8;
    for (const message of messages) for (const text of message) bytes += text.length + 8;
    socket.wire!.send(new Together(messages), bytes);
  }

  #received(socket: Socket, reply: Reply): void {
    if (socket.state === 'destroyed') return;
    if (reply instanceof ErrorReply || !this.#channels.take(reply, this.#commandQueue)) {
      const command = this.#commandQueue.shift();
      if (command === undefined) throw new Error('a reply to no command');
      if (reply instanceof ErrorReply) this.#failed(command, reply);
      else command.resolve(toValue(reply));
    }
    if (this.#socketTimer !== undefined) {
      this.#socketTimer.cancel();
      this.#socketTimer = undefined;
      if (this.#commandQueue.length > 0) this.#setSocketTimer(socket);
    }
  }

  #failed(command: Command, reply: ErrorReply): void {
    const error = new ReplyError(reply.message) as Error & { command?: unknown };
    error.command = { name: command.name, args: command.args };
    const needs = command.name === 'client' ? false : (this.#options.reconnectOnError?.(error) ?? false);
    // Ends the connection, and makes it again.
    if (needs !== false && this.#status !== 'reconnecting') this.#endSocket();
    if (needs === 2) this.#send(command);
    else command.reject(error);
  }

  #setSocketTimer(socket: Socket): void {
    const { socketTimeout } = this.#options;
    this.#socketTimer = this.#clock.setTimer(socketTimeout!, () => {
      this.#socketTimer = undefined;
      this.#destroy(socket, new Error(`Socket timeout. Expecting data, but didn't receive any in ${socketTimeout}ms.`));
    });
  }

  #rejectAll(error: Error): void {
    for (const queue of [this.#offlineQueue, this.#commandQueue]) for (const command of queue.splice(0)) command.reject(error);
  }

  // Ending

  /** As `socket.end()`: what was sent is still answered. */
  #endSocket(): void {
    const socket = this.#socket;
    if (socket === undefined || socket.state === 'ended' || socket.state === 'destroyed') return;
    this.#flush(socket);
    socket.wire?.send(END_OF_COMMANDS);
    socket.state = 'ended';
    this.#clock.setTimer(this.#options.disconnectTimeout, () => this.#destroy(socket, undefined));
  }

  #destroy(socket: Socket, error: Error | undefined): void {
    if (this.#isDead || socket.state === 'destroyed') return;
    socket.state = 'destroyed';
    socket.wire?.reset();
    if (error !== undefined) {
      // Who disconnected is not told that the connection broke.
      const isOfConnection = /^(connect|read) /.test(error.message);
      if (!(this.#isClosing && isOfConnection)) this.#emit('error', error);
    }
    this.#closed();
  }

  #closed(): void {
    const { retryStrategy, maxRetriesPerRequest } = this.#options;
    const before = this.#status;
    this.#status = 'close';
    queueMicrotask(() => this.#emit('close'));
    this.#socketTimer?.cancel();
    this.#socketTimer = undefined;
    if (before === 'ready') {
      this.#channelsBefore ??= this.#channels.names;
      if (this.#commandQueue.length > 0) this.#unfulfilled = this.#commandQueue;
    }
    const delayMs = this.#isClosing ? undefined : retryStrategy?.(++this.#retryAttempts);
    this.#isClosing = false;
    if (typeof delayMs !== 'number') {
      this.#status = 'end';
      this.#rejectAll(new Error(CLOSED));
      return;
    }
    this.#status = 'reconnecting';
    this.#reconnectTimer = this.#clock.setTimer(delayMs, () => {
      this.#reconnectTimer = undefined;
      this.#connect();
    });
    if (typeof maxRetriesPerRequest === 'number' && this.#retryAttempts % (maxRetriesPerRequest + 1) === 0)
      this.#rejectAll(tooManyRetries(maxRetriesPerRequest));
  }

  #newChannels(): DriverChannels<Command> {
    return new DriverChannels((channel, message) => {
      this.#emit('message', toText(channel), toText(message));
      this.#emit('messageBuffer', Buffer.from(channel, 'latin1'), Buffer.from(message, 'latin1'));
    });
  }

  #emit<E extends keyof Events>(event: E, ...args: Events[E]): void {
    if (this.#isDead) return;
    for (const listener of this.#listeners[event]) listener(...args);
  }
}

/** Nobody asked for the command, so a failure ends the process, as a promise that nobody looks at does. */
function unhandled(error: unknown): void {
  throw error;
}
