import type { RedisOptions } from 'ioredis';
import { NotSimulated } from './commands.ts';

/** Options of a driver, complete. */
export type DriverOptions = Omit<RedisOptions, keyof typeof DEFAULTS> & typeof DEFAULTS;

/** What ioredis does when an option is left out. */
const DEFAULTS = {
  connectTimeout: 10_000,
  disconnectTimeout: 2000,
  enableOfflineQueue: true,
  autoResendUnfulfilledCommands: true,
  autoResubscribe: true,
  maxRetriesPerRequest: 20 as number | null,
};
const SIMULATED_OPTIONS = new Set([
  ...Object.keys(DEFAULTS),
  ...['host', 'port', 'db', 'protocol', 'connectionName', 'disableClientInfo', 'enableReadyCheck', 'replyMapping', 'keepAlive'],
  ...['commandTimeout', 'socketTimeout', 'retryStrategy', 'reconnectOnError'],
]);

/** What is given, and what ioredis does where nothing is. @throws {NotSimulated} for what the simulated driver does not know. */
export function driverOptions(options: RedisOptions): DriverOptions {
  check(options);
  return { ...options, ...DEFAULTS, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) };
}

function check(options: RedisOptions): void {
  const foreign = Object.keys(options).filter((name) => !SIMULATED_OPTIONS.has(name));
  if (foreign.length > 0) throw new NotSimulated(`the driver's options ${foreign.join(', ')}`);
  if (options.db !== undefined && options.db !== 0) throw new NotSimulated('a database but 0');
  if (options.protocol !== 2) throw new NotSimulated('a protocol but RESP2');
  if (options.disableClientInfo !== true || options.enableReadyCheck !== false)
    throw new NotSimulated('the checks of the driver at its start');
}
