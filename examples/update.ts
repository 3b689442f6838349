import { connect } from '../src/client/client.ts';

const client = await connect();
const products = client.table<{ id: number; name: string; price: string }>('products', { key: ['id'] });

await products.upsert({ id: 7, name: 'Teapot', price: '24.90' });
// Only what changes, besides the key. Decimals travel as strings.
await products.update({ id: 7, price: '19.90' });

await client.close();
