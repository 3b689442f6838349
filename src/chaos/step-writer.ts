import type { Client, Table } from '../client/client.ts';
import type { ClientSettings } from './client-messages.ts';
import { padOf, type Refusal, type Step } from './workload.ts';

/** Writes the changes of steps through a client. */
export class StepWriter {
  readonly #client: number;
  readonly #life: number;
  readonly #journal: Table;
  readonly #changed: readonly Table[];
  readonly #strict: Table;

  constructor(client: Client, { client: number, life, tables }: Pick<ClientSettings, 'client' | 'life' | 'tables'>) {
    this.#client = number;
    this.#life = life;
    this.#journal = client.table(tables.journal, { key: ['client', 'life', 'n'] });
    this.#changed = [tables.item, tables.state].map((name) => client.table(name, { key: ['client', 'life', 'id'] }));
    this.#strict = client.table(tables.strict, { key: ['client', 'life', 'n'] });
  }

  /** Resolves when every change of the step is in the buffer of the client. */
  async take({ n, id, op, strict }: Step): Promise<void> {
    const whose = { client: this.#client, life: this.#life };
    await this.#journal.insert({ ...whose, n });
    for (const table of this.#changed) {
      if (op === 'delete') await table.delete({ ...whose, id });
      else await table[op](op === 'update' ? { ...whose, id, n } : { ...whose, id, n, pad: padOf(n) });
    }
    if (strict === 'missing') await this.#strict.update({ ...whose, n, needed: 'missing' });
    else if (strict !== undefined) await this.#strict.insert({ ...whose, n, needed: NEEDED[strict] });
  }
}

/** What a row of table `strict` has in the column that decides whether it is refused. */
const NEEDED: Readonly<Record<Exclude<Refusal, 'missing'> | 'good', string | null>> = { good: 'good', null: null, check: 'refused' };
