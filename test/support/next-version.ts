import type { SourcePatch } from './source-patches.ts';

/**
 * What makes version 0.2.0 of this source, as a compatible one may be (`docs/upgrading.md`): HELLO and WELCOME have a field
 * more, and the sink a column more, which it fills.
 */
export const NEXT_MINOR: readonly SourcePatch[] = [
  {
    name: 'its version',
    file: 'src/server.ts',
    find: "const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;",
    replace: "const VERSION = '0.2.0';",
  },
  {
    name: 'a field of HELLO',
    file: 'src/protocol/messages.ts',
    find: "out.mapHeader(left.length > 0 ? 6 : 5);\n  out.str('v');\n  out.int(hello.v);",
    replace: "out.mapHeader(left.length > 0 ? 7 : 6);\n  out.str('zone');\n  out.str('north');\n  out.str('v');\n  out.int(hello.v);",
  },
  {
    name: 'a field of WELCOME',
    file: 'src/protocol/messages.ts',
    find: "out.mapHeader(9);\n  out.str('v');\n  out.int(welcome.v);",
    replace: "out.mapHeader(10);\n  out.str('zone');\n  out.arrayHeader(1);\n  out.str('north');\n  out.str('v');\n  out.int(welcome.v);",
  },
  {
    name: 'a column of the watermarks',
    file: 'src/sinks/mysql/mysql.ts',
    find: 'await createBookkeeping(connection, this.#database);',
    replace:
      "await createBookkeeping(connection, this.#database);\n      await connection.run('ALTER TABLE syncline_watermark ADD COLUMN IF NOT EXISTS moved_by VARCHAR(16) NULL');",
  },
  {
    name: 'what stands in it',
    file: 'src/sinks/mysql/watermarks.ts',
    find: "const sets = ['seq', 'crc', 'updated_at'].map((name) => `${name}=",
    replace: "const sets = ['seq', 'crc', 'updated_at'].map((name) => `moved_by='0.2.0',${name}=",
  },
];

const OTHER_FORMAT = 0x4d;

/** A version that stores elements in a format of its own, and reads both: not a compatible one. */
export const OTHER_ELEMENTS: readonly SourcePatch[] = [
  {
    name: 'the format as Redis writes it',
    file: 'src/queue/redis/scripts/append.lua',
    find: "struct.pack('>BI4I8I8', 178,",
    replace: `struct.pack('>BI4I8I8', ${OTHER_FORMAT},`,
  },
  {
    name: 'the format as heads of lists are looked at',
    file: 'src/queue/redis/scripts/heal.lua',
    find: 'string.sub(head, 1, 1) ~= string.char(178)',
    replace: `string.sub(head, 1, 1) ~= string.char(178) and string.sub(head, 1, 1) ~= string.char(${OTHER_FORMAT})`,
  },
  {
    name: 'the format as it is known',
    file: 'src/queue/element.ts',
    find: 'const ELEMENT_FORMAT = 0xb2;',
    replace: `const ELEMENT_FORMAT = ${OTHER_FORMAT};`,
  },
  {
    name: 'the format before is read too',
    file: 'src/queue/element.ts',
    find: 'const format = buffer[0] ?? ELEMENT_FORMAT;',
    replace: 'if (buffer[0] === 0xb2) buffer[0] = ELEMENT_FORMAT;\n  const format = buffer[0] ?? ELEMENT_FORMAT;',
  },
];
