import { connect } from '../src/client/client.ts';

// Without a url: SYNCLINE_URL, else tcp://127.0.0.1:9501. Without a token: SYNCLINE_TOKEN, else none.
const client = await connect();
console.log('connected:', client.status().connected);
await client.close();
