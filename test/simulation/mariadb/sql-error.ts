/** What the server answers instead of a result. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly errno: number;
  readonly sqlState: string;
  /** What of its session is undone. */
  readonly undoes: 'statement' | 'transaction';

  constructor(errno: number, sqlState: string, message: string, undoes: 'statement' | 'transaction' = 'statement') {
    super(message);
    this.errno = errno;
    this.sqlState = sqlState;
    this.undoes = undoes;
  }
}

export const duplicateEntry = (value: string, index: string) =>
  new SqlError(1062, '23000', `Duplicate entry '${value}' for key '${index}'`);
export const columnNotNull = (column: string) => new SqlError(1048, '23000', `Column '${column}' cannot be null`);
export const noDefault = (column: string) => new SqlError(1364, 'HY000', `Field '${column}' doesn't have a default value`);
export const noSuchTable = (database: string, table: string) => new SqlError(1146, '42S02', `Table '${database}.${table}' doesn't exist`);
export const unknownColumn = (column: string, clause: string) => new SqlError(1054, '42S22', `Unknown column '${column}' in '${clause}'`);
export const checkFailed = (name: string, database: string, table: string) =>
  new SqlError(4025, '23000', `CONSTRAINT \`${name}\` failed for \`${database}\`.\`${table}\``);
const DEADLOCK = 'Deadlock found when trying to get lock; try restarting transaction';
export const deadlock = () => new SqlError(1213, '40001', DEADLOCK, 'transaction');
/** Of GET_LOCK, which is no matter of InnoDB. */
export const userLockDeadlock = () => new SqlError(1213, '40001', DEADLOCK);
export const lockWaitTimeout = () => new SqlError(1205, 'HY000', 'Lock wait timeout exceeded; try restarting transaction');
export const statementTimeout = () => new SqlError(1969, '70100', 'Query execution was interrupted (max_statement_time exceeded)');
export const interrupted = () => new SqlError(1317, '70100', 'Query execution was interrupted');
export const connectionKilled = () => new SqlError(1927, '70100', 'Connection was killed');
export const nameTooLong = (name: string) => new SqlError(1059, '42000', `Identifier name '${name.slice(0, 97)}...' is too long`);
export const readOnly = () =>
  new SqlError(1290, 'HY000', 'The MariaDB server is running with the --read-only option so it cannot execute this statement');
export const tableFull = (table: string) => new SqlError(1114, 'HY000', `The table '${table}' is full`);
export const noSavepoint = (name: string) => new SqlError(1305, '42000', `SAVEPOINT ${name} does not exist`);
export const noSuchThread = (id: number) => new SqlError(1094, 'HY000', `Unknown thread id: ${id}`);
