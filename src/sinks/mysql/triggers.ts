import { mentionsOf, type Mentions } from '../mentions.ts';
import type { Connection, SqlRow } from './connection.ts';
import { textLiteral } from './sql.ts';

/** The triggers of a database. */
export interface Triggers {
  /** The tables that have some. */
  readonly tables: ReadonlySet<string>;
  /** Whether one of them may read or write the table. */
  mayTouch(table: string): boolean;
}

/**
 * Reads every trigger of the database that its user may see, and where they lead: through views, and through the
 * triggers of other databases that they mention.
 */
export async function readTriggers(connection: Connection, database: string): Promise<Triggers> {
  const inDatabase = `=${textLiteral(database)}`;
  const triggers = await connection.rows(
    `SELECT EVENT_OBJECT_TABLE,ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA${inDatabase}`,
  );
  if (triggers.length === 0) return { tables: new Set(), mayTouch: () => false };
  const statements = triggers.map((row) => String(row[1]));
  const views = await connection.rows(`SELECT TABLE_NAME,VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA${inDatabase}`);
  const relays: [string, string][] = views.map(([name, definition]) => [String(name), viewText(definition)]);
  const databases = await connection.rows(
    `SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME<>${textLiteral(database)}`,
  );
  const first = mentionsOf(statements, relays);
  for (const name of databases.map(([each]) => String(each)).filter((each) => first.has(each))) {
    const theirs = await connection.rows(
      `SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA=${textLiteral(name)}`,
    );
    relays.push([name, theirs.map(([statement]) => String(statement)).join('\n')]);
  }
  const mentions = mentionsOf(statements, relays);
  const anywhere = leadsAnywhere(mentions);
  return {
    tables: new Set(triggers.map((row) => String(row[0]))),
    mayTouch: (table) => anywhere || mentions.has(table),
  };
}

/** The definition of a view that the user may not see could be anything, which the word says. */
function viewText(definition: SqlRow[number] | undefined): string {
  return definition === null || definition === undefined || definition === '' ? 'call' : String(definition);
}

/** Whether a procedure or a stored function is called: what those do is not looked at. */
function leadsAnywhere(mentions: Mentions): boolean {
  if (mentions.has('call')) return true;
  const withoutInserts = mentions.text.replace(INSERT_INTO, ' (');
  for (const [, qualified, name] of withoutInserts.matchAll(BEFORE_PARENTHESIS)) {
    if (qualified !== undefined || !HARMLESS.has(name as string)) return true;
  }
  return false;
}

/** A table and the parenthesis with its columns, which look like a call. */
const INSERT_INTO =
  /\b(?:into|insert|replace|ignore)\s+(?:(?:[\w$\u0080-\uffff]+|`[^`]+`|"[^"]+")\s*\.\s*)?(?:[\w$\u0080-\uffff]+|`[^`]+`|"[^"]+")\s*\(/g;
const BEFORE_PARENTHESIS = /(\.\s*)?([\w$\u0080-\uffff]+|[`"])\s*\(/g;

/**
 * Words that may stand before a parenthesis without calling something stored. Not complete, nor need it be: another one
 * makes changes slower and nothing else. A stored function of such a name must be called with that of its database.
 */
const HARMLESS = new Set(
  [
    'all and any as between by case default div do else elseif except exists from having if in intersect interval is join key',
    'like mod not on or over partition regexp return rlike select set some then union unique until using value values when',
    'where while with xor',
    'binary bit blob char datetime decimal double enum float int integer bigint mediumint smallint tinyint numeric text time',
    'timestamp varbinary varchar year',
    'abs ceil ceiling crc32 exp floor greatest least ln log log10 log2 pi pow power rand round sign sqrt truncate',
    'avg bit_and bit_or bit_xor count group_concat max min std stddev sum variance row_number rank dense_rank lag lead',
    'cast coalesce convert ifnull isnull nullif',
    'ascii char_length character_length concat concat_ws elt field find_in_set format from_base64 hex insert instr lcase left',
    'length locate lower lpad ltrim md5 octet_length ord position regexp_instr regexp_replace regexp_substr repeat replace',
    'reverse right rpad rtrim sha sha1 sha2 soundex space strcmp substr substring substring_index to_base64 trim ucase unhex',
    'upper',
    'adddate addtime curdate current_date current_time current_timestamp curtime date date_add date_format date_sub datediff',
    'day dayname dayofmonth dayofweek dayofyear extract from_days from_unixtime hour last_day localtime localtimestamp makedate',
    'maketime microsecond minute month monthname now period_add period_diff quarter sec_to_time second str_to_date subdate',
    'subtime sysdate time_format time_to_sec timediff timestampadd timestampdiff to_days to_seconds unix_timestamp utc_date',
    'utc_time utc_timestamp week weekday weekofyear yearweek',
    'connection_id current_user database found_rows last_insert_id row_count schema session_user system_user user version',
    'json_array json_array_append json_arrayagg json_compact json_contains json_extract json_insert json_length json_merge_patch',
    'json_object json_objectagg json_quote json_remove json_replace json_set json_type json_unquote json_valid json_value',
    'bin_to_uuid inet6_aton inet6_ntoa inet_aton inet_ntoa uuid uuid_short uuid_to_bin',
  ].flatMap((line) => line.split(' ')),
);
