import { connect } from '../src/client/client.ts';

const client = await connect();
await client.table('cities', { key: ['id'] }).upsert({ id: 1, name: 'Rome' });

// Waits until everything is applied, but not longer than ten seconds.
const summary = await client.close({ signal: AbortSignal.timeout(10_000) });
console.log(summary);
