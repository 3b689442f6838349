import { describe, expect, test } from 'vitest';
import { loadScripts } from '../../../src/queue/redis/scripts.ts';
import { LuaTable, type LuaValue } from './lua-values.ts';
import { compileScript } from './lua.ts';

function run(source: string, args: readonly string[] = []): unknown {
  return plain(compileScript(source).run(['key'], args, (call) => new LuaTable(call)));
}

function plain(value: LuaValue): unknown {
  if (!(value instanceof LuaTable)) return value;
  return value.fields.size === 0 ? value.list.map(plain) : Object.fromEntries(value.fields);
}

describe('Lua', () => {
  test.each(Object.values(loadScripts()))('the script $name is inside of the subset', ({ source }) => {
    expect(compileScript(source).flags).toBeDefined();
  });

  test.each<[string, unknown]>([
    ['return 7 % 4 + 2 * 3 - -1', 10],
    ["return '10' + 5", 15],
    ['return not nil and 0 or 1', 0],
    ['return nil and 1', undefined],
    ["return false or 'b'", 'b'],
    ['local a, b, c = 1, 2 return { a, b, c == nil }', [1, 2, true]],
    ['local a = 1 do local a = a + 1 end return a', 1],
    ['local a, b = 1, 2 a, b = b, a return { a, b }', [2, 1]],
    ['local n = 0 for i = 3, 1, -1 do n = n * 10 + i end return n', 321],
    ['local n = 0 for i = 1, 0 do n = 1 end return n', 0],
    ['local n = 0 repeat local m = n n = n + 1 until m == 2 return n', 3],
    ['local n = 0 while true do n = n + 1 if n > 4 then break end end return n', 5],
    ["local t = { 'a', x = 1, 'b' } t[3] = 'c' return #t .. t[1] .. t[3] .. t.x", '3ac1'],
    ["local s = '' for i, v in ipairs({ 'a', 'b' }) do s = s .. i .. v end return s", '1a2b'],
    ["local t = {} for k, v in pairs({ x = 1, y = 2 }) do t[#t + 1] = k .. v end return table.concat(t, ',')", 'x1,y2'],
    ["return { string.match('a=1;b', '^(%w+)=(%d-);(.*)$') }", ['a', '1', 'b']],
    ["return { string.match('a;1 2 b c', '^(%S+) (%d+) (.*)$') }", ['a;1', '2', 'b c']],
    ["return string.match('abc', 'x') == nil", true],
    ["return { string.sub('hello', 2, -2), string.sub('hello', -3), string.sub('hello', 9) }", ['ell', 'llo', '']],
    ["return { struct.unpack('>BHI4', '\x01\x01\x02\x00\x00\x01\x00') }", [1, 258, 256, 8]],
    ["return struct.pack('>I8c2', 258, 'abc')", '\0\0\0\0\0\0\x01\x02ab'],
    ["return { struct.unpack('>Bc0', '\x02abc') }", ['ab', 4]],
    ["return string.format('%.0f %s', 2.5, 'x')", '2 x'],
    ["return { redis.call('GET', unpack({ 1, 2 })) }", [['GET', 1, 2]]],
    ['return { math.max(1, 3, 2), math.min(2, 1), math.floor(-1.5) }', [3, 1, -2]],
    ["return { tonumber(' 12 '), tonumber('x') == nil, tonumber('1e2') }", [12, true, 100]],
    ["return redis.error_reply('-CODE text')", { err: 'CODE text' }],
  ])('%s', (source, expected) => {
    expect(run(source)).toEqual(expected);
  });

  test('numbers read like those of printf', () => {
    expect(run("return table.concat({ 0.1, 1 / 3, 10 * 100000000000000, -5 / 2 }, ' ')")).toBe('0.1 0.33333333333333 1e+15 -2.5');
  });

  test.each<[string, string]>([
    ['local x\nreturn x.y', "line 2: attempt to index local 'x' (a nil value)"],
    ['return ARGV[1].y', 'line 1: methods of strings'],
    ['return 1 +\n{}', 'line 1: attempt to perform arithmetic on a table value'],
    ['return 1 < nil', 'line 1: attempt to compare number with nil'],
    ["return {} .. 'x'", 'line 1: attempt to concatenate a table value'],
    ["return struct.unpack('>I4', 'abc')", "line 1: bad argument N2 to 'unpack' (data string too short)"],
    ['return string.sub(nil, 1)', "line 1: bad argument N1 to 'sub' (string expected, got nil)"],
  ])('%j fails: %s', (source, message) => {
    expect(failure(() => run(source, ['text']))).toBe(message.replace('argument N', 'argument #'));
  });

  test.each([
    'x = 1',
    'local function f() end',
    'return string.rep("x", 3)',
    'return math.random()',
    'return redis.pcall("GET")',
    'return 2 ^ 3',
    'goto done',
    'return [[text]]',
    'return 1e3',
    'return "a\\n"',
    'local redis = pairs',
    "return ('x'):rep(3)",
  ])('%s is refused', (source) => {
    expect(() => compileScript(source)).toThrow(SyntaxError);
  });

  test.each([
    "return string.match('a', '[ab]')",
    "return struct.pack('<I4', 1)",
    "return string.format('%d', 1)",
    "return tonumber('0x10')",
  ])('%s fails loudly, and not as an error of Lua', (source) => {
    expect(failure(() => run(source), 'cause')).toBe('OutsideSubset');
  });
});

function failure(run: () => unknown, what: 'message' | 'cause' = 'message'): string {
  try {
    run();
  } catch (error) {
    const { line, message, cause } = error as { line: number; message: string; cause: Error };
    return what === 'cause' ? cause.name : `line ${line}: ${message}`;
  }
  return 'it succeeded';
}
