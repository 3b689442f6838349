/**
 * The server that `syncline chaos` starts for itself when no other is named: embedded queue and sink in the folder that
 * SYNCLINE_DATA names, on ports that it chooses. Tells its port, and ends when whoever started it does.
 */
import { loadConfig } from '../config/load.ts';
import { startServer } from '../server.ts';

// Ctrl-C in a terminal reaches every process of the group; whoever started this one ends it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit(1));

const server = await startServer(loadConfig({ env: process.env, cwd: process.env['SYNCLINE_DATA'] ?? '.' }));
process.send?.({ port: server.addresses.tcp.port });
