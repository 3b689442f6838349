import { connect } from '../src/client/client.ts';

const client = await connect();
const cities = client.table('cities', { key: ['id'] });
for (let id = 1; id <= 1000; id++) await cities.upsert({ id, name: `city ${id}` });

const { pendingChanges, lagMs, outstandingBytes, held } = client.status();
console.log({ pendingChanges, lagMs, outstandingBytes, held });

await client.close();
