import type { Client } from '../channels.ts';
import type { ServerCommand } from '../commands.ts';
import { ErrorReply, OK, type Reply } from '../replies.ts';
import type { Store } from '../store.ts';
import { clusterCommand } from './commands.ts';
import type { ClusterMember } from './member.ts';
import { restore } from './migration.ts';
import { DOWN, keysOf, routeOf, type Coming } from './routing.ts';
import { slotOfKey } from './slots.ts';

const DOWN_IN_SCRIPT = 'ERR Script attempted to execute a command while the cluster is down';
const NOT_LOCAL = 'ERR Script attempted to access a non local key in a cluster node';
const CROSS_SLOT = 'ERR Script attempted to access keys that do not hash to the same slot';

/** What stands before the commands of a node: which of them it carries out, and those that only a node knows. */
export class ClusterGate {
  readonly commands: Readonly<Record<string, ServerCommand>>;
  readonly #member: ClusterMember;
  readonly #store: Store;
  /** Connections that have sent ASKING, which holds for one command. */
  readonly #asking = new WeakSet<Client>();
  readonly #reading = new WeakSet<Client>();
  /** How the command came that runs now. */
  #coming: Coming = { isAsking: false, isReading: false, isWrite: false, isMigrate: false };
  /** The slot that the script which runs now has used. */
  #slotOfScript: number | undefined;

  /** `migrate` begins to hand a key over, or gives why it does not. */
  constructor(member: ClusterMember, store: Store, migrate: (args: readonly string[], client: Client) => Reply) {
    this.#member = member;
    this.#store = store;
    this.commands = {
      CLUSTER: { arity: -2, run: (args) => clusterCommand(member, args) },
      ASKING: { arity: 1, run: (_, client) => this.#mark(this.#asking, client) },
      READONLY: { arity: 1, run: (_, client) => this.#mark(this.#reading, client) },
      READWRITE: { arity: 1, run: (_, client) => (this.#reading.delete(client!), OK) },
      MIGRATE: { arity: -6, kind: 'write', run: (args, client) => migrate(args, client!) },
      'RESTORE-ASKING': { arity: -4, kind: 'write denyoom', run: (args) => restore(args, store) },
    };
  }

  /** A command has come, whatever it is. */
  came(args: readonly string[], client: Client): void {
    const name = args[0]!.toUpperCase();
    const isAsking = this.#asking.delete(client) || name === 'RESTORE-ASKING';
    this.#coming = { isAsking, isReading: this.#reading.has(client), isWrite: false, isMigrate: name === 'MIGRATE' };
  }

  /** Looks whether the command that came last is carried out here. @throws {ErrorReply} */
  admit(args: readonly string[], isWrite: boolean): void {
    this.#coming = { ...this.#coming, isWrite };
    const keys = keysOf(args);
    this.#slotOfScript = keys[0] === undefined ? undefined : slotOfKey(keys[0]);
    const route = this.#route(keys, this.#coming);
    if (route !== 'here') throw route;
  }

  /** As {@link admit}, of a command in the script that runs now. @throws {ErrorReply} */
  admitInScript(args: readonly string[], isWrite: boolean): void {
    const keys = keysOf(args);
    if (keys[0] === undefined) return;
    const route = this.#route(keys, { ...this.#coming, isWrite });
    if (route !== 'here') throw new ErrorReply(route.message === DOWN ? DOWN_IN_SCRIPT : NOT_LOCAL);
    this.#slotOfScript ??= slotOfKey(keys[0]);
    if (this.#slotOfScript !== slotOfKey(keys[0])) throw new ErrorReply(CROSS_SLOT);
  }

  published(channel: string, message: string): void {
    this.#member.published(channel, message);
  }

  #route(keys: readonly string[], coming: Coming) {
    const { topology, isDown } = this.#member;
    return routeOf(keys, coming, { topology, isDown, hasKey: (key) => this.#store.get(key) !== undefined });
  }

  #mark(clients: WeakSet<Client>, client: Client | undefined): Reply {
    clients.add(client!);
    return OK;
  }
}
