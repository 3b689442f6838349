import { compileFunction } from 'node:vm';
import { badArgument } from './lua-arguments.ts';
import { compileLua } from './lua-compiler.ts';
import { LIBRARY } from './lua-library.ts';
import * as values from './lua-values.ts';
import { LuaTable, type LuaValue } from './lua-values.ts';

/** A script that was compiled. */
export interface LuaScript {
  /** Flags of its `#!lua` line; undefined when it has none. */
  readonly flags: ReadonlySet<string> | undefined;
  /**
   * Runs it, and gives what it returns first.
   * @throws {ScriptError} what it raised or what `call` threw, and in which line.
   */
  run(keys: readonly string[], args: readonly string[], call: (args: LuaValue[]) => LuaValue): LuaValue;
}

/** Why a script ended early; `cause` is what was thrown. */
export class ScriptError extends Error {
  override name = 'ScriptError';
  readonly line: number;

  constructor(cause: unknown, line: number) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.line = line;
  }
}

type Body = (
  at: { line: number },
  KEYS: LuaTable,
  ARGV: LuaTable,
  call: (args: LuaValue[]) => LuaValue,
  lua: object,
  library: object,
) => LuaValue;

/** By source: every server of every simulation runs the same few scripts. */
const compiled = new Map<string, LuaScript>();

/** Compiles a script. @throws {SyntaxError} for what is outside of the subset of Lua, naming the script and the line. */
export function compileScript(source: string): LuaScript {
  let script = compiled.get(source);
  if (script === undefined) compiled.set(source, (script = compile(source)));
  return script;
}

function compile(source: string): LuaScript {
  const body = bodyOf(source);
  return {
    flags: flagsOf(source),
    run(keys, args, call) {
      const at = { line: 0 };
      try {
        return body(at, new LuaTable([...keys]), new LuaTable([...args]), call, LUA, LIBRARY);
      } catch (error) {
        throw new ScriptError(error, at.line);
      }
    },
  };
}

function bodyOf(source: string): Body {
  try {
    return compileFunction(compileLua(source), ['at', 'KEYS', 'ARGV', 'call', 'lua', 'library']) as Body;
  } catch (error) {
    const title = source.split('\n').find((line) => line.startsWith('--')) ?? source.slice(0, 60);
    throw new SyntaxError(`script "${title}": ${String(error)}`, { cause: error });
  }
}

function flagsOf(source: string): ReadonlySet<string> | undefined {
  const line = /^#!lua(?: flags=(\S*))?[ \t]*(?:\n|$)/.exec(source);
  if (line === null) {
    if (source.startsWith('#!')) throw new SyntaxError(`the simulation does not read ${source.split('\n', 1)[0]}`);
    return undefined;
  }
  return new Set((line[1] ?? '').split(',').filter((flag) => flag !== ''));
}

const LUA = {
  ...values,
  pairs(table: LuaValue): Iterable<readonly [LuaValue, LuaValue]> {
    const whole = tableOf(table, 'pairs');
    return whole.length === 0 ? whole.fields : [...whole.list.map((value, i) => [i + 1, value] as const), ...whole.fields];
  },
  *ipairs(table: LuaValue): Iterable<readonly [LuaValue, LuaValue]> {
    const { list } = tableOf(table, 'ipairs');
    for (let i = 0; i < list.length && list[i] !== undefined; i++) yield [i + 1, list[i]];
  },
};

function tableOf(value: LuaValue, name: string): LuaTable {
  if (value instanceof LuaTable) return value;
  throw badArgument(1, name, 'table', value);
}
