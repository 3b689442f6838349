import type { Reply } from '../replies.ts';
import { MASTERS, type ClusterClient, type ClusterWorld } from './cluster-worlds.ts';
import { describe } from './subjects.ts';

/** Runs commands on the nodes of a cluster, and writes down what they answer; who they are is masked. */
export class ClusterScript {
  readonly transcript: string[] = [];
  readonly world: ClusterWorld;
  readonly #ids: readonly string[];
  readonly #clients = new Map<string, ClusterClient>();

  static async begin(world: ClusterWorld): Promise<ClusterScript> {
    const ids: string[] = [];
    for (let i = 0; i < 2 * MASTERS; i++) ids.push(String(await (await world.connect(i)).execute(['CLUSTER', 'MYID'])));
    const script = new ClusterScript(world, ids);
    // A node may learn later than others which ones are replicas.
    await script.everywhere((reply) => String(reply).split('slave ').length === MASTERS + 1, 'CLUSTER', 'NODES');
    return script;
  }

  private constructor(world: ClusterWorld, ids: readonly string[]) {
    this.world = world;
    this.#ids = ids;
  }

  note(line: string): void {
    this.transcript.push(line);
  }

  /** `server` or `server/connection`; `id of N` and `at N` in the arguments are what the server has. */
  async run(where: number | string, ...args: string[]): Promise<Reply> {
    const reply = await this.ask(where, ...args);
    this.transcript.push(`${where}: ${args.map((arg) => arg.slice(0, 60)).join(' ')} → ${this.#masked(describe(reply, 0))}`);
    return reply;
  }

  /** Without a word in the transcript. */
  async ask(where: number | string, ...args: string[]): Promise<Reply> {
    const name = String(where);
    let client = this.#clients.get(name);
    if (client === undefined) this.#clients.set(name, (client = await this.world.connect(Number(name.split('/')[0]))));
    const meant = args.flatMap((arg) => {
      const [, kind, server] = /^(id of|at) (\d)$/.exec(arg) ?? [];
      if (kind === undefined) return [arg];
      return kind === 'at' ? this.world.addresses[Number(server)]! : [this.#ids[Number(server)]!];
    });
    return client.execute(meant);
  }

  /** Connections to a server are made anew from now on. */
  forget(server: number): void {
    for (const name of [...this.#clients.keys()]) if (name.split('/')[0] === String(server)) this.#clients.delete(name);
  }

  /** Waits until every node answers a command as is wanted. */
  async everywhere(isWanted: (reply: Reply, server: number) => boolean, ...args: string[]): Promise<void> {
    for (let server = 0; server < 2 * MASTERS; server++) while (!isWanted(await this.ask(server, ...args), server)) await this.world.pass();
  }

  /** Of CLUSTER NODES: every node with its flags, its master, its epoch and its slots, in the order of the servers. */
  async nodes(where: number): Promise<void> {
    const lines = String(await this.ask(where, 'CLUSTER', 'NODES'))
      .trimEnd()
      .split('\n');
    const byServer = this.#ids.map((id) => lines.find((line) => line.startsWith(id))!.split(' '));
    const epochs = [...new Set(byServer.map((fields) => Number(fields[6])))].toSorted((a, b) => a - b);
    for (const [server, [, , flags, master, , , epoch, link, ...slots]] of byServer.entries()) {
      const text = [flags, master, `epoch ${epochs.indexOf(Number(epoch)) + 1} of ${epochs.length}`, link, ...slots].join(' ');
      this.transcript.push(`${where} sees ${server}: ${this.#masked(text)}`);
    }
  }

  #masked(text: string): string {
    let masked = text;
    for (const [i, id] of this.#ids.entries()) masked = masked.replaceAll(id, `id of ${i}`);
    for (const [i, [host, port]] of this.world.addresses.entries()) masked = masked.replaceAll(`${host}:${port}`, `server ${i}`);
    return masked.replaceAll(/\b[0-9a-f]{40}\b/g, '<sha>');
  }
}
