import { connect } from '../src/client/client.ts';

const client = await connect();
client.on('rejected', ({ code, message, rows }) => console.error(`refused: ${code}: ${message}`, rows));
client.on('disconnected', ({ reason, retryInMs }) => console.warn(`away: ${reason}; again in ${retryInMs} ms`));
client.on('held', ({ by, reason }) => console.warn(`the ${by} holds back: ${reason}`));
client.on('error', (error) => console.error(`${error.code}: ${error.message}`));

const cities = client.table('cities', { key: ['id'] });
await cities.update({ id: 999_999, name: 'Atlantis' }); // there is no such row

await client.close();
