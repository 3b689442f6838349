import { connect } from '../src/client/client.ts';

const client = await connect();
const sessions = client.table('sessions', { key: ['id'] });
const seats = client.table('seats', { key: ['hall', 'seat'] });

await sessions.delete('3f1c');
await seats.delete({ hall: 2, seat: 'F12' });

await client.close();
