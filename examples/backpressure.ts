import { connect } from '../src/client/client.ts';

const client = await connect({ bufferBytes: 1024 * 1024 });
const cities = client.table('cities', { key: ['id'] });

// Each await returns at once while there is room, and waits for the server while there is none.
for (let id = 1; id <= 50_000; id++) await cities.upsert({ id, name: `city ${id}` });

await client.close();
