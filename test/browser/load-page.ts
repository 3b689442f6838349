/** Runs in a page: a client whose rows say which generation of the page wrote them, as the n-th. */
import { connect } from '../../src/client/browser/client.ts';

export interface LoadPage {
  /** Opens a client that sends the rows of `generation`. */
  open(url: string, generation: number, keys: number): Promise<void>;
  /** Writes the next `count` rows; resolves, with how many there are, when they are in the spool. */
  write(count: number): Promise<number>;
  /** Resolves when everything is applied, with what went wrong. */
  finish(): Promise<readonly string[]>;
  isConnected(): boolean;
}

const page: LoadPage = {
  async open(url, generation, keys) {
    const client = await connect({ url, spool: 'indexeddb:load', offline: true });
    const item = client.table<{ id: number; gen: number; n: number; pad: string }>('item');
    const complaints: string[] = [];
    client.on('rejected', ({ message }) => complaints.push(`rejected: ${message}`));
    client.on('error', ({ message }) => complaints.push(message));
    client.on('diverged', ({ reason }) => complaints.push(`diverged: ${reason}`));
    let n = 0;
    page.write = async (count) => {
      for (const end = n + count; n < end;) {
        n += 1;
        await item.upsert({ id: generation * keys + (n % keys), gen: generation, n, pad: `row ${n} of ${generation}` });
      }
      await client.flush({ until: 'spooled' });
      return n;
    };
    page.finish = async () => {
      await client.flush();
      return complaints;
    };
    page.isConnected = () => client.status().connected;
  },
  write: closed,
  finish: closed,
  isConnected: closed,
};

Object.assign(globalThis, { loadPage: page });

function closed(): never {
  throw new Error('there is no client yet');
}
