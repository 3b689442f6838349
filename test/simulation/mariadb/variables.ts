import type { SqlValue } from './values.ts';

/** What the handshake and VERSION() say. */
export const SERVER_VERSION = '10.11.14-MariaDB';

const TRADITIONAL =
  'STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,TRADITIONAL,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION';

/** Settings of a session, and what they are when nobody sets them. */
const SESSION_DEFAULTS: Readonly<Record<string, SqlValue>> = {
  sql_mode: 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION',
  time_zone: 'SYSTEM',
  autocommit: 1,
  character_set_client: 'utf8mb4',
  character_set_results: 'utf8mb4',
  collation_connection: 'utf8mb4_bin',
  foreign_key_checks: 1,
  unique_checks: 1,
  sql_safe_updates: 0,
  sql_select_limit: 2 ** 53,
  wait_timeout: 28_800,
  innodb_lock_wait_timeout: 50,
  lock_wait_timeout: 86_400,
  tx_isolation: 'REPEATABLE-READ',
  idle_transaction_timeout: 0,
  in_predicate_conversion_threshold: 1000,
  max_statement_time: 0,
};

const GLOBALS: Readonly<Record<string, SqlValue>> = {
  max_allowed_packet: 67_108_864,
  log_bin: 'OFF',
  binlog_format: 'MIXED',
  sync_binlog: '0',
  innodb_flush_log_at_trx_commit: '1',
  innodb_doublewrite: 'ON',
  innodb_read_only: 'OFF',
  wsrep_on: 'OFF',
};

/** The values that the simulation implements; the others would change what statements mean. */
const ONLY: Readonly<Record<string, readonly SqlValue[]>> = {
  time_zone: ['+00:00'],
  character_set_client: ['utf8mb4'],
  character_set_results: ['utf8mb4'],
  collation_connection: ['utf8mb4_bin'],
  foreign_key_checks: [1],
  unique_checks: [1],
  sql_safe_updates: [0],
  tx_isolation: ['READ-COMMITTED'],
  sql_mode: ['TRADITIONAL', 'TRADITIONAL,NO_AUTO_VALUE_ON_ZERO'],
};

/** The settings of one session. */
export class SessionVariables {
  readonly #values = new Map(Object.entries(SESSION_DEFAULTS));

  /** Sets a variable, to its default when there is no value. */
  set(name: string, value: SqlValue | undefined): void {
    const fallback = SESSION_DEFAULTS[name];
    if (fallback === undefined) throw new Error(`the variable ${name} is not simulated`);
    if (value !== undefined && ONLY[name]?.includes(value) === false) throw new Error(`${name}=${String(value)} is not simulated`);
    const set = value ?? fallback;
    this.#values.set(name, name === 'sql_mode' ? expanded(String(set)) : set);
  }

  get(name: string): SqlValue {
    const value = this.#values.get(name) ?? GLOBALS[name];
    if (value === undefined) throw new Error(`the variable ${name} is not simulated`);
    return value;
  }

  seconds(
    name: 'wait_timeout' | 'innodb_lock_wait_timeout' | 'lock_wait_timeout' | 'idle_transaction_timeout' | 'max_statement_time',
  ): number {
    return Number(this.#values.get(name));
  }
}

function expanded(mode: string): string {
  return mode
    .split(',')
    .map((each) => (each === 'TRADITIONAL' ? TRADITIONAL : each))
    .join(',');
}

/** The rows of SHOW GLOBAL VARIABLES. */
export function globalVariables(isReadOnly: boolean): readonly (readonly [name: string, value: string])[] {
  return [...Object.entries(GLOBALS).map(([name, value]) => [name, String(value)] as const), ['read_only', isReadOnly ? 'ON' : 'OFF']];
}
