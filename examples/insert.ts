import { connect } from '../src/client/client.ts';

const client = await connect();
const visits = client.table('visits', { key: ['at', 'page'] });

await visits.insert({ at: new Date(), page: '/prices', agent: { name: 'Firefox', version: 140 } });

const { rejected } = await client.flush();
console.log(rejected === 0 ? 'inserted' : 'a row with this key exists');
await client.close();
