import { ERRORS, SyncError, type ErrorCode } from '../../core/errors.ts';

/** What the server answered instead of a result. */
export interface ServerError {
  readonly errno: number;
  readonly sqlState: string;
  readonly message: string;
}

/** What a statement was about, for the codes and messages of its failures. */
export interface Subject {
  readonly table: string;
  /** Name of the unique index that is the key of the change. */
  readonly keyIndex: string;
  readonly columns: readonly string[];
}

/**
 * What each error number of MySQL and MariaDB means. A number that is not listed is permanent only if its SQLSTATE says
 * that the data is at fault (classes 22, 23 and 44); everything else is taken for the world's trouble and tried again.
 */
const CODES: readonly (readonly [code: ErrorCode, errnos: readonly number[]])[] = [
  ['duplicate_unique', [1022, 1062, 1169, 1586]],
  ['foreign_key', [1216, 1217, 1451, 1452, 1557, 1761, 1762]],
  ['check_failed', [1369, 1442, 1644, 3819, 4025]],
  ['out_of_range', [1264, 1441, 1526, 1690]],
  ['too_long', [1406, 1071]],
  ['null_not_allowed', [1048, 1263, 1364]],
  // 1267, 1270 and 1271 answer a comparison with text that the column's charset lacks.
  ['wrong_type', [1265, 1267, 1270, 1271, 1292, 1300, 1366, 1367, 1411, 1210, 3140, 3141]],
  ['loses_precision', [3652]],
  ['unknown_table', [1051, 1109, 1146]],
  ['unknown_column', [1054]],
  ['column_generated', [1906, 3105]],
  ['row_too_large', [1118, 1153, 1162, 1301]],
  ['sink_busy', [1020, 1050, 1060, 1205, 1213, 1223, 1317, 1412, 1479, 1614, 1969, 3024, 3058, 3572]],
  ['sink_readonly', [1209, 1290, 1792, 1836, 3100, 3989]],
  ['sink_full', [1021, 1037, 1038, 1041, 1114, 1135, 1197, 1206, 1534, 1598, 3, 28, 1026]],
  ['sink_denied', [1044, 1045, 1130, 1142, 1143, 1227, 1251, 1275, 1370, 1410, 1524, 1698, 1820, 1862, 3118, 3159, 3879, 4151]],
  [
    'sink_unavailable',
    [
      1040, 1042, 1043, 1047, 1049, 1053, 1080, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927, 2002, 2003, 2006, 2013, 2055,
      3169, 4031,
    ],
  ],
];

const codeByErrno: ReadonlyMap<number, ErrorCode> = new Map(CODES.flatMap(([code, errnos]) => errnos.map((errno) => [errno, code])));

/** The code for an error of the server. Whether a duplicate is one of the change's key only {@link failureOf} tells. */
export function codeOf(error: ServerError): ErrorCode {
  // A trigger's SIGNAL, which may carry any number.
  if (/^45[0-9A-Z]{3}$/.test(error.sqlState)) return 'check_failed';
  if (noSpace(error)) return 'sink_full';
  const code = codeByErrno.get(error.errno);
  if (code !== undefined) return code;
  return /^(22|23|44)/.test(error.sqlState) ? 'value_refused' : 'sink_unavailable';
}

/** Whether the server ends the connection with this answer, or nothing more can be expected of it. */
export function endsConnection(error: ServerError): boolean {
  return codeOf(error) === 'sink_unavailable' && codeByErrno.has(error.errno);
}

/** Error 1030 and its kin only pass on what the storage engine or the file system said. */
function noSpace(error: ServerError): boolean {
  return [3, 1005, 1030].includes(error.errno) && /\b(error|errno:|Errcode:)\s*(28|122)\b/i.test(error.message);
}

/**
 * The failure of a statement, which is about a change only where there is a subject. Messages of single changes name table, column and index, never what the server quotes
 * from the row; messages about the server itself are passed on. What is to be said where one of Syncline's own tables is missing, `missing` knows.
 */
export function failureOf(error: ServerError, subject?: Subject, missing: () => string = () => ''): SyncError {
  let code = codeOf(error);
  const { kind } = ERRORS[code];
  if (kind !== 'permanent' && kind !== 'blocked') return new SyncError(code, `the database answered error ${error.errno}${saying(error)}`);
  // Without a change there is nothing to set aside: it is Syncline's own statement, or its tables, that are at fault.
  if (subject === undefined) {
    const detail = code === 'unknown_table' || code === 'unknown_column' ? saying(error) : `, SQLSTATE ${error.sqlState}`;
    const hint = code === 'unknown_table' ? missing() : '';
    return new SyncError(
      'sink_unavailable',
      `the database refused one of Syncline's own statements with error ${error.errno}${detail}${hint}`,
    );
  }
  const { table } = subject;
  if (code === 'duplicate_unique') {
    const index = indexOf(error.message);
    if (index === subject.keyIndex) code = 'duplicate_key';
    const where = index === undefined ? 'a unique index' : `unique index ${index}`;
    return new SyncError(
      code,
      code === 'duplicate_key' ? `${table}: a row with this key exists` : `${table}: another row has the same value in ${where}`,
    );
  }
  return new SyncError(
    code,
    `${table}${whereOf(error, subject)}: ${ERRORS[code].meaning} (error ${error.errno}, SQLSTATE ${error.sqlState})`,
  );
}

/** The column or the constraint that a message names, if it surely names one. */
function whereOf(error: ServerError, subject: Subject): string {
  const constraint = constraintOf(error);
  if (constraint !== undefined) return `, constraint ${constraint}`;
  const column = columnOf(error.message);
  // A name that is no column could be a piece of the row.
  return column !== undefined && subject.columns.includes(column) ? `.${column}` : '';
}

/** `… for key 'PRIMARY'`, or `'table.PRIMARY'` on MySQL. The quoted value comes first and may hold anything. */
function indexOf(message: string): string | undefined {
  const marker = " for key '";
  const at = message.lastIndexOf(marker);
  if (at < 0) return undefined;
  const name = message.slice(at + marker.length).replace(/'$/, '');
  return name.slice(name.lastIndexOf('.') + 1);
}

/** Column names stand after the value, at the end: `… for column 'c' at row 1`, or with backticks and table on MariaDB. */
const COLUMN_AT_END =
  /(?:for column|Column|Field) (?:`[^`]*`\.`[^`]*`\.)?['`]([^'`]+)['`](?: at row \d+| cannot be null| doesn't have a default value)?$/;

function columnOf(message: string): string | undefined {
  return COLUMN_AT_END.exec(message)?.[1];
}

function constraintOf({ errno, message }: ServerError): string | undefined {
  if (errno === 4025) return /^CONSTRAINT `([^`]+)`/.exec(message)?.[1];
  if (errno === 3819) return /^Check constraint '([^']+)'/.exec(message)?.[1];
  return /^Cannot (?:add|delete)[^(]*\(`[^`]*`\.`[^`]*`, CONSTRAINT `([^`]+)`/.exec(message)?.[1];
}

/** What the server says about itself; the text of an unlisted error may quote the statement, and with it the row. */
function saying({ errno, sqlState, message }: ServerError): string {
  return codeByErrno.has(errno) ? `: ${message.replace(/\s+/g, ' ').slice(0, 300)}` : `, SQLSTATE ${sqlState}`;
}
