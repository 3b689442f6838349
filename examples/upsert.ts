import { connect } from '../src/client/client.ts';

const client = await connect();
const cities = client.table('cities', { key: ['id'] });

await cities.upsert({ id: 3143244, name: 'Oslo', population: 580_000 });
await cities.upsert({ id: 3143244, name: 'Oslo', population: 709_037 });

await client.close();
