import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../src/client/client.ts';

// In a real program a fixed folder, one for each process, so that the next start finds it.
const spool = mkdtempSync(join(tmpdir(), 'outbox-'));
const client = await connect({ spool, offline: true });

await client.table('orders', { key: ['id'] }).upsert({ id: 1, total: '19.90' });
await client.flush({ until: 'spooled' }); // now kill -9 of this program loses nothing

await client.close();
