import { createHash } from 'node:crypto';
import { LuaTable, numberText, OutsideSubset, LuaError, type LuaValue } from './lua-values.ts';
import { compileScript, ScriptError, type LuaScript } from './lua.ts';
import { ErrorReply, StatusReply, type Reply } from './replies.ts';

const KNOWN_FLAGS = new Set(['no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys']);

/** A script that a server knows. */
export interface KnownScript {
  readonly sha: string;
  readonly script: LuaScript;
}

/** The scripts that a server remembers until it ends. */
export class ScriptCache {
  readonly #bySha = new Map<string, KnownScript>();

  /** @throws {ErrorReply} when its first line is not understood. */
  load(source: string): KnownScript {
    const sha = shaOf(source);
    let known = this.#bySha.get(sha);
    if (known === undefined) {
      const script = compileScript(source);
      for (const flag of script.flags ?? [])
        if (!KNOWN_FLAGS.has(flag)) throw new ErrorReply(`ERR Unexpected flag in script shebang: ${flag}`);
      this.#bySha.set(sha, (known = { sha, script }));
    }
    return known;
  }

  get(sha: string): KnownScript | undefined {
    return this.#bySha.get(sha) ?? this.#bySha.get(sha.toLowerCase());
  }

  clear(): void {
    this.#bySha.clear();
  }
}

/** By source: each process and each flush makes all of them known again. */
const shas = new Map<string, string>();
const MAX_SHAS = 1_000;

function shaOf(source: string): string {
  let sha = shas.get(source);
  if (sha === undefined) {
    if (shas.size >= MAX_SHAS) shas.clear();
    shas.set(source, (sha = createHash('sha1').update(source, 'latin1').digest('hex')));
  }
  return sha;
}

/** Runs a script. `call` executes a command in it. @throws {ErrorReply} */
export function runScript(
  { sha, script }: KnownScript,
  keys: readonly string[],
  args: readonly string[],
  call: (args: string[]) => Reply,
): Reply {
  try {
    return toReply(script.run(keys, args, (values) => toLua(call(values.map(toArgument)))));
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    const { cause, line } = error;
    const where = ` script: ${sha}, on @user_script:${line}.`;
    if (cause instanceof ErrorReply) throw new ErrorReply(cause.message + where);
    if (cause instanceof LuaError) throw new ErrorReply(`ERR user_script:${line}: ${cause.message}${where}`);
    throw cause;
  }
}

function toArgument(value: LuaValue): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value, 17);
  throw new ErrorReply('ERR Lua redis lib command arguments must be strings or integers');
}

function toLua(reply: Reply): LuaValue {
  if (reply === null) return false;
  if (typeof reply === 'number' || typeof reply === 'string') return reply;
  if (reply instanceof StatusReply) return new LuaTable().with('ok', reply.text);
  if (reply instanceof ErrorReply) throw reply;
  return new LuaTable(reply.map(toLua));
}

function toReply(value: LuaValue): Reply {
  if (value === undefined || value === false) return null;
  if (value === true) return 1;
  if (typeof value === 'string') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new OutsideSubset(`the reply ${value}`);
    return Math.trunc(value) + 0;
  }
  const [failed, status] = [value.get('err'), value.get('ok')];
  if (typeof failed === 'string') return new ErrorReply(oneLine(failed));
  if (typeof status === 'string') return new StatusReply(oneLine(status));
  const end = value.list.indexOf(undefined);
  return value.list.slice(0, end < 0 ? undefined : end).map(toReply);
}

function oneLine(text: string): string {
  return text.replace(/^[\r\n]+|[\r\n]+$/g, '').replace(/[\r\n]/g, ' ');
}
