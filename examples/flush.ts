import { connect } from '../src/client/client.ts';

const client = await connect();
const cities = client.table('cities', { key: ['id'] });
for (let id = 1; id <= 1000; id++) await cities.upsert({ id, name: `city ${id}` });

await client.flush({ until: 'stored' }); // in the server's queue
const { applied, rejected, rejections } = await client.flush(); // in the database, for good
console.log(
  { applied, rejected },
  rejections.map((rejection) => rejection.message),
);

await client.close();
