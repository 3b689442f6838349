import { ErrorReply, type Reply } from '../replies.ts';
import type { Fleet, FleetClient } from './fleet.ts';
import { describe } from './subjects.ts';

interface Connection {
  readonly server: number;
  readonly client: FleetClient;
  /** How much of what it received is in the transcript. */
  seen: number;
  /** Nothing more is asked over it until it ends. */
  isWaiting: boolean;
}

/** What every server refuses in the same way whatever state it is in, and which changes nothing. */
const MARK = ['LLEN'];

/** Runs commands over several connections, one after the other, and writes down what each of them receives. */
export class FleetScript {
  readonly transcript: string[] = [];
  readonly #fleet: Fleet;
  readonly #connections: Connection[] = [];
  readonly #paused = new Set<number>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  address(server: number): readonly [host: string, port: string] {
    return this.#fleet.addresses[server]!;
  }

  /** Gives the number of a new connection. */
  async connect(server: number): Promise<number> {
    return this.#connections.push({ server, client: await this.#fleet.connect(server), seen: 0, isWaiting: false }) - 1;
  }

  /** Sends the last command of a connection, and does not wait for its reply. */
  send(number: number, ...args: string[]): void {
    const connection = this.#connections[number]!;
    connection.isWaiting = true;
    this.#write(number, args);
    connection.client.send(args);
  }

  /** Sends a command, and waits until what comes of it has been received on every connection. */
  async run(number: number, ...args: string[]): Promise<void> {
    this.#write(number, args);
    this.#connections[number]!.client.send(args);
    await this.#mark(number);
    for (const [i, { server, client, isWaiting }] of this.#connections.entries())
      if (i !== number && !client.isClosed && !isWaiting && !this.#paused.has(server)) await this.#mark(i);
  }

  /** Fields of INFO replication. */
  async info(number: number, ...names: string[]): Promise<void> {
    const info = String(await this.#ask(number, 'INFO', 'replication'));
    const lines = info.split('\r\n').filter((line) => names.includes(line.split(':', 1)[0]!));
    this.transcript.push(`${number}: INFO ${lines.sort().join(' ')}`);
  }

  /** Makes a server follow another, and waits until it has what that has. */
  async follow(server: number, primary: number): Promise<void> {
    const number = await this.connect(server);
    await this.run(number, 'REPLICAOF', ...this.address(primary));
    await this.connected(server, primary);
    const from = await this.connect(primary);
    // What was written now has come through, and with it everything before.
    await this.#ask(from, 'SET', 'comes through', String(number));
    while ((await this.#ask(number, 'GET', 'comes through')) !== String(number));
    await this.#ask(from, 'DEL', 'comes through');
    while ((await this.#ask(number, 'GET', 'comes through')) !== null);
  }

  /** Waits until a replica and its primary agree that they are connected. */
  async connected(server: number, primary: number): Promise<void> {
    const [number, from] = [await this.connect(server), await this.connect(primary)];
    while (((await this.#ask(number, 'ROLE')) as Reply[])[3] !== 'connected');
    while (!String(await this.#ask(from, 'INFO', 'replication')).includes('state=online'));
  }

  async linkDown(server: number): Promise<void> {
    const number = await this.connect(server);
    while (!String(await this.#ask(number, 'INFO', 'replication')).includes('master_link_status:down'));
  }

  pause(server: number): Promise<void> {
    this.#paused.add(server);
    return this.#fleet.pause(server);
  }

  resume(server: number): Promise<void> {
    this.#paused.delete(server);
    return this.#fleet.resume(server);
  }

  kill(server: number): Promise<void> {
    return this.#fleet.kill(server);
  }

  /** Waits until the server has ended a connection. */
  async end(number: number): Promise<void> {
    const { client } = this.#connections[number]!;
    await this.#fleet.until(() => client.isClosed);
    this.#read(number);
    this.transcript.push(`  ${number} is closed`);
  }

  /** Asks without a word in the transcript. */
  async #ask(number: number, ...args: string[]): Promise<Reply> {
    const connection = this.#connections[number]!;
    connection.client.send(args);
    await this.#fleet.until(() => connection.client.others.length > connection.seen);
    return connection.client.others[connection.seen++]!;
  }

  /** Waits for the answer to a mark, before which comes whatever was sent to the connection until now. */
  async #mark(number: number): Promise<void> {
    const connection = this.#connections[number]!;
    const { client } = connection;
    client.send(MARK);
    await this.#fleet.until(() => client.isClosed || (client.others.length > connection.seen && isMark(client.others.at(-1)!)));
    if (!client.isClosed) client.others.pop();
    this.#read(number);
  }

  #write(number: number, args: readonly string[]): void {
    const [host, port] = [this.#fleet.addresses.findIndex((address) => address.join() === args.slice(1).join()), args[0]];
    const text = host < 0 ? args.map((arg) => arg.slice(0, 60)).join(' ') : `${port} server ${host}`;
    this.transcript.push(`${number}: ${text}`);
  }

  #read(number: number): void {
    const connection = this.#connections[number]!;
    for (const reply of connection.client.others.slice(connection.seen))
      this.transcript.push(`  ${number} ← ${describe(this.#masked(reply), 0)}`);
    connection.seen = connection.client.others.length;
  }

  /** In ROLE, addresses and offsets are whatever they are. */
  #masked(reply: Reply): Reply {
    if (!Array.isArray(reply)) return reply;
    const [kind, second, third, state, offset] = reply as readonly Reply[];
    const offsetOf = (given: Reply) => (Number(given) < 0 ? String(given) : 'offset');
    if (kind === 'slave') return [kind, this.#serverAt(second!, third!), state!, offsetOf(offset!)];
    if (kind !== 'master') return reply;
    return [kind, offsetOf(second!), (third as Reply[][]).map(([host, port, at]) => [this.#serverAt(host!, port!), offsetOf(at!)])];
  }

  #serverAt(host: Reply, port: Reply): string {
    return `server ${this.#fleet.addresses.findIndex((address) => address[0] === host && address[1] === String(port))}`;
  }
}

function isMark(reply: Reply): boolean {
  return reply instanceof ErrorReply && reply.message === `ERR wrong number of arguments for '${MARK[0]!.toLowerCase()}' command`;
}
