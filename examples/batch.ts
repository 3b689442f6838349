import { connect } from '../src/client/client.ts';

const client = await connect();
const profiles = client.table('profiles', { key: ['id'] });

// Nobody sees the row missing, and columns that the new row leaves out are empty again.
await client.batch([profiles.change.delete(42), profiles.change.insert({ id: 42, name: 'Ada' })]);

await client.close();
