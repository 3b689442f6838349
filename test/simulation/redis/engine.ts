import type { Channels, Client } from './channels.ts';
import type { ClusterGate } from './cluster/gate.ts';
import { commandName, DATA_COMMANDS, NotSimulated, parseInteger, wrongArity, type Command, type ServerCommand } from './commands.ts';
import { compileScript } from './lua.ts';
import { ErrorReply, OK, StatusReply, type Reply } from './replies.ts';
import { runScript, ScriptCache, type KnownScript } from './scripting.ts';
import type { Replication } from './replication.ts';
import type { EvictionPolicy, Store } from './store.ts';

/** What decides whether a server takes a command; faults change it. */
export interface EngineSettings {
  /** 0: as much as is wanted. */
  maxMemory: number;
  policy: EvictionPolicy;
  role: 'master' | 'replica';
  /** Whether data can be saved. */
  saves: 'succeed' | 'fail';
  /** Writes are refused with fewer replicas than these that were heard of within the lag. */
  minReplicas: number;
  maxReplicaLagS: number;
  /** How much of what was sent to replicas is kept for one that was away. */
  backlogBytes: number;
  /** Whether a replica whose primary is away answers. */
  staleData: 'served' | 'refused';
  loading: 'no' | 'yes';
  appendOnly: 'no' | 'yes';
  runId: string;
}

/** What else of its server an engine needs. */
export interface EngineParts {
  readonly channels: Channels;
  readonly replication: Replication;
  /** Of a node of a cluster. */
  readonly cluster?: ClusterGate | undefined;
  /** Ends the connections of one kind, and gives how many. */
  killClients(kind: 'normal' | 'pubsub', except: Client | undefined): number;
}

/** What a connection may send that listens to a channel. */
const WHILE_SUBSCRIBED = new Set(['SUBSCRIBE', 'UNSUBSCRIBE', 'PING']);
/** What Redis does not run in a script. */
const NOT_IN_SCRIPTS = new Set(['SUBSCRIBE', 'UNSUBSCRIBE', 'EVAL', 'EVALSHA', 'SCRIPT', 'CONFIG', 'CLIENT', 'WAIT', 'ROLE', 'REPLICAOF']);
/** What a replica answers that has lost its primary and must not tell what it has. */
const WHILE_STALE = new Set([
  'INFO',
  'CONFIG',
  'CLIENT',
  'SCRIPT',
  'PUBLISH',
  'SUBSCRIBE',
  'UNSUBSCRIBE',
  'ROLE',
  'REPLICAOF',
  'REPLCONF',
  'TIME',
]);

const SAY = {
  oom: "OOM command not allowed when used memory > 'maxmemory'.",
  readOnly: "READONLY You can't write against a read only replica.",
  misconf:
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. " +
    'Commands that may modify the data set are disabled, because this instance is configured to report errors during writes ' +
    'if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.',
  noReplicas: 'NOREPLICAS Not enough good replicas to write.',
  readOnlyScript: 'ERR Write commands are not allowed from read-only scripts.',
  loading: 'LOADING Redis is loading the dataset in memory',
  subscribed: '(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context',
  masterDown: "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  noScript: 'NOSCRIPT No matching script. Please use EVAL.',
};

/** Executes commands as one Redis server does, one after the other; knows nothing of connections and files. */
export class Engine {
  readonly store: Store;
  readonly settings: EngineSettings;
  readonly channels: Channels;
  readonly #replication: Replication;
  readonly #cluster: ClusterGate | undefined;
  readonly #scripts = new ScriptCache();
  /** Memory was full, and nothing could give way, before the command that runs now. */
  #isFull = false;
  /** Whether the last command was one that ran, and was not turned away before. */
  hasRun = false;
  readonly #serverCommands: Readonly<Record<string, ServerCommand>>;

  constructor(store: Store, settings: EngineSettings, parts: EngineParts) {
    const { replication } = parts;
    this.store = store;
    this.settings = settings;
    this.channels = parts.channels;
    this.#replication = replication;
    this.#cluster = parts.cluster;
    this.#serverCommands = {
      EVAL: { arity: -3, run: (args, client) => this.#eval(args, client, (script) => this.#scripts.load(script)) },
      EVALSHA: { arity: -3, run: (args, client) => this.#eval(args, client, (sha) => this.#scriptOf(sha)) },
      SCRIPT: { arity: -2, run: (args) => this.#script(args) },
      PING: { arity: -1, run: ([, text], client) => this.#ping(text, client) },
      PUBLISH: { arity: 3, whileLoading: 'answered', run: ([, channel, message]) => this.#publish(channel!, message!) },
      SUBSCRIBE: { arity: -2, whileLoading: 'answered', run: ([, ...names], client) => this.channels.subscribe(known(client), names) },
      UNSUBSCRIBE: { arity: -1, whileLoading: 'answered', run: ([, ...names], client) => this.channels.unsubscribe(known(client), names) },
      INFO: { arity: -1, whileLoading: 'answered', run: ([, ...sections]) => this.#info(sections) },
      CONFIG: { arity: -2, whileLoading: 'answered', run: (args) => this.#config(args) },
      CLIENT: {
        arity: -2,
        whileLoading: 'answered',
        run: (args, client) => clientCommand(args, (kind) => parts.killClients(kind, client)),
      },
      WAIT: { arity: 3, run: (args, client) => replication.wait(args, known(client)) },
      ROLE: { arity: 1, whileLoading: 'answered', run: () => replication.role() },
      REPLICAOF: { arity: 3, run: (args) => replication.replicaOf(args) },
      PSYNC: { arity: -3, run: (args, client) => replication.sync(args, known(client)) },
      REPLCONF: { arity: -1, whileLoading: 'answered', run: (args, client) => replication.acknowledged(args, known(client)) },
      ...parts.cluster?.commands,
    };
  }

  /** Executes one command: name and arguments, from `client` if it came over a connection. What it wrote is not committed yet. */
  execute(args: readonly string[], client?: Client): Reply {
    this.hasRun = false;
    try {
      if (client !== undefined) this.#cluster?.came(args, client);
      const name = commandName(args[0]!);
      const data = Object.hasOwn(DATA_COMMANDS, name) ? DATA_COMMANDS[name] : undefined;
      const server = data ? undefined : this.#serverCommand(name);
      checkArity(name, (data ?? server)!.arity, args.length);
      const kind = (data ?? server)!.kind ?? this.#kindOfScript(name, args[1]!);
      if (client !== undefined) this.#cluster?.admit(args, kind !== 'read');
      const { maxMemory, policy } = this.settings;
      // A replica leaves to its primary what gives way.
      this.#isFull = maxMemory > 0 && this.#replication.primary === undefined && !this.store.evict(maxMemory, policy);
      this.#admit(kind);
      if (client !== undefined && this.channels.isSubscribed(client) && !WHILE_SUBSCRIBED.has(name))
        throw new ErrorReply(`ERR Can't execute '${fullName(args)}': only ${SAY.subscribed}`);
      if (this.settings.staleData === 'refused' && this.#replication.isLinkDown && !WHILE_STALE.has(name))
        throw new ErrorReply(SAY.masterDown);
      if (this.settings.loading === 'yes' && server?.whileLoading === undefined) throw new ErrorReply(SAY.loading);
      this.hasRun = true;
      return data ? data.run(this.store, args) : server!.run(args, client);
    } catch (error) {
      if (error instanceof ErrorReply) return error;
      throw error;
    }
  }

  /** Forgets what a process holds in memory besides the data set. */
  forgetScripts(): void {
    this.#scripts.clear();
  }

  #serverCommand(name: string): ServerCommand {
    if (!Object.hasOwn(this.#serverCommands, name)) throw new NotSimulated(`the command ${name}`);
    return this.#serverCommands[name]!;
  }

  /** Redis judges a script by its flags as if it were a command; one without flags is judged command by command. */
  #kindOfScript(name: string, script: string): Command['kind'] {
    const known = name === 'EVAL' ? compileScript(script) : name === 'EVALSHA' ? this.#scripts.get(script)?.script : undefined;
    const flags = known?.flags;
    if (flags === undefined || flags.has('no-writes')) return 'read';
    return flags.has('allow-oom') ? 'write' : 'write denyoom';
  }

  #admit(kind: Command['kind']): void {
    if (this.#isFull && kind === 'write denyoom') throw new ErrorReply(SAY.oom);
    if (kind !== 'read') this.#checkWrite();
  }

  #checkWrite(): void {
    const { saves, minReplicas, role } = this.settings;
    if (saves === 'fail') throw new ErrorReply(SAY.misconf);
    if (role === 'master' && minReplicas > 0 && minReplicas > this.#replication.goodReplicas()) throw new ErrorReply(SAY.noReplicas);
    if (role === 'replica') throw new ErrorReply(SAY.readOnly);
  }

  #eval(args: readonly string[], client: Client | undefined, find: (script: string) => KnownScript): Reply {
    const count = parseInteger(args[2]!);
    if (count > args.length - 3) throw new ErrorReply("ERR Number of keys can't be greater than number of args");
    if (count < 0) throw new ErrorReply("ERR Number of keys can't be negative");
    const known = find(args[1]!);
    const { flags } = known.script;
    let hasWritten = false;
    return runScript(known, args.slice(3, 3 + count), args.slice(3 + count), (inner) => {
      if (commandName(inner[0]!) === 'PUBLISH') return this.#publishInScript(inner, flags);
      const command = this.#commandInScript(inner);
      if (command.kind !== 'read') {
        if (flags?.has('no-writes')) throw new ErrorReply(SAY.readOnlyScript);
        this.#checkWrite();
        // A script that has written already goes on.
        if (this.#isFull && flags === undefined && !hasWritten && command.kind === 'write denyoom') throw new ErrorReply(SAY.oom);
        hasWritten = true;
      }
      if (client !== undefined) this.#cluster?.admitInScript(inner, command.kind !== 'read');
      return command.run(this.store, inner);
    });
  }

  #commandInScript(args: readonly string[]): Command {
    const name = commandName(args[0]!);
    if (NOT_IN_SCRIPTS.has(name)) throw new ErrorReply('ERR This Redis command is not allowed from script');
    if (!Object.hasOwn(DATA_COMMANDS, name)) throw new NotSimulated(`the command ${name} in a script`);
    const command = DATA_COMMANDS[name]!;
    checkArityInScript(command.arity, args.length);
    return command;
  }

  /** What is published counts as written where a script says that it only reads, and nowhere else. */
  #publishInScript(args: readonly string[], flags: ReadonlySet<string> | undefined): Reply {
    checkArityInScript(3, args.length);
    if (flags?.has('no-writes')) throw new ErrorReply(SAY.readOnlyScript);
    return this.#publish(args[1]!, args[2]!);
  }

  #publish(channel: string, message: string): Reply {
    // The bus of a cluster carries it to every node, replicas too.
    (this.#cluster ?? this.#replication).published(channel, message);
    return this.channels.publish(channel, message);
  }

  #scriptOf(sha: string): KnownScript {
    const known = this.#scripts.get(sha);
    if (known === undefined) throw new ErrorReply(SAY.noScript);
    return known;
  }

  #script([, subcommand = '', ...rest]: readonly string[]): Reply {
    switch (subcommand.toUpperCase()) {
      case 'LOAD':
        if (rest.length !== 1) throw new ErrorReply(wrongArity('script|load'));
        return this.#scripts.load(rest[0]!).sha;
      case 'EXISTS':
        if (rest.length === 0) throw new ErrorReply(wrongArity('script|exists'));
        return rest.map((sha) => (this.#scripts.get(sha) === undefined ? 0 : 1));
      case 'FLUSH':
        this.#scripts.clear();
        return OK;
      default:
        throw new NotSimulated(`SCRIPT ${subcommand}`);
    }
  }

  #ping(text: string | undefined, client: Client | undefined): Reply {
    if (this.settings.saves === 'fail') throw new ErrorReply(SAY.misconf);
    if (client !== undefined && this.channels.isSubscribed(client)) return ['pong', text ?? ''];
    return text ?? new StatusReply('PONG');
  }

  #info(sections: readonly string[]): Reply {
    const { maxMemory, policy, saves, loading, appendOnly, runId } = this.settings;
    // Each is made only when it is wanted: nodes ask again and again, for little.
    const known: Record<string, () => readonly string[]> = {
      server: () => ['redis_version:7.0.15', `redis_mode:${this.#cluster === undefined ? 'standalone' : 'cluster'}`, `run_id:${runId}`],
      memory: () => [`used_memory:${this.store.usedBytes}`, `maxmemory:${maxMemory}`, `maxmemory_policy:${policy}`],
      persistence: () => [
        `loading:${loading === 'yes' ? 1 : 0}`,
        `rdb_last_bgsave_status:${saves === 'fail' ? 'err' : 'ok'}`,
        `aof_enabled:${appendOnly === 'yes' ? 1 : 0}`,
      ],
      replication: () => this.#replication.info(),
    };
    const wanted = sections.map((section) => section.toLowerCase());
    const all = wanted.length === 0 || wanted.some((section) => ['default', 'all', 'everything'].includes(section));
    return Object.entries(known)
      .filter(([section]) => all || wanted.includes(section))
      .map(([section, lines]) => `# ${section.charAt(0).toUpperCase()}${section.slice(1)}\r\n${lines().join('\r\n')}\r\n`)
      .join('\r\n');
  }

  #config([, subcommand = '', ...rest]: readonly string[]): Reply {
    // What REPLICAOF says is kept for the next process anyway.
    if (subcommand.toUpperCase() === 'REWRITE') return OK;
    if (subcommand.toUpperCase() !== 'SET' || rest.length !== 2) throw new NotSimulated(`CONFIG ${subcommand} ${rest.join(' ')}`);
    const [name, value] = [rest[0]!.toLowerCase(), rest[1]!];
    if (name === 'maxmemory') this.settings.maxMemory = parseInteger(value);
    else if (name === 'min-replicas-to-write') this.settings.minReplicas = parseInteger(value);
    else if (name === 'min-replicas-max-lag') this.settings.maxReplicaLagS = parseInteger(value);
    else if (name === 'repl-backlog-size') this.settings.backlogBytes = parseInteger(value);
    else if (name === 'replica-serve-stale-data') this.settings.staleData = value === 'no' ? 'refused' : 'served';
    else if (name === 'maxmemory-policy' && isPolicy(value)) this.settings.policy = value;
    else throw new NotSimulated(`CONFIG SET ${name} ${value}`);
    return OK;
  }
}

function checkArity(name: string, arity: number, length: number): void {
  if (!fitsArity(arity, length)) throw new ErrorReply(wrongArity(name.toLowerCase()));
}

function checkArityInScript(arity: number, length: number): void {
  if (!fitsArity(arity, length)) throw new ErrorReply('ERR Wrong number of args calling Redis command from script');
}

function fitsArity(arity: number, length: number): boolean {
  return arity >= 0 ? length === arity : length >= -arity;
}

function known(client: Client | undefined): Client {
  if (client === undefined) throw new NotSimulated('a subscription without a connection');
  return client;
}

/** A command as errors name it: with its subcommand, if it has any. */
function fullName([name, subcommand]: readonly string[]): string {
  const lower = name!.toLowerCase();
  return ['script', 'client', 'config'].includes(lower) ? `${lower}|${subcommand!.toLowerCase()}` : lower;
}

function clientCommand([, subcommand = '', ...rest]: readonly string[], kill: (kind: 'normal' | 'pubsub') => number): Reply {
  const [first, second] = rest;
  switch (subcommand.toUpperCase()) {
    case 'SETNAME':
      if (rest.length !== 1) throw new ErrorReply(wrongArity('client|setname'));
      return OK;
    case 'KILL':
      if (first?.toUpperCase() === 'TYPE' && (second === 'normal' || second === 'pubsub')) return kill(second);
      throw new NotSimulated(`CLIENT KILL ${rest.join(' ')}`);
    default:
      throw new NotSimulated(`CLIENT ${subcommand}`);
  }
}

function isPolicy(text: string): text is EvictionPolicy {
  return text === 'noeviction' || text === 'allkeys-lru' || text === 'volatile-ttl';
}
