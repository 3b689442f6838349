import type { Effect, LifeModel } from './audit.ts';
import { changesByKey } from './audit-rows.ts';
import { placeName, type Findings } from './findings.ts';
import type { Step } from './workload.ts';

/** Holds the effects that triggers wrote down, in their order, against the models. */
export function auditLog(findings: Findings, models: ReadonlyMap<string, LifeModel>, log: readonly Effect[]): void {
  const found = new Map<string, Effect[]>();
  for (const effect of log) {
    const key = `${effect.client} ${effect.life} ${effect.id}`;
    const effects = found.get(key);
    if (effects === undefined) found.set(key, [effect]);
    else effects.push(effect);
  }
  for (const model of models.values()) {
    for (const [id, changes] of changesByKey(model.steps)) {
      const key = `${model.client} ${model.life} ${id}`;
      auditKey(findings, model, id, changes, found.get(key) ?? []);
      found.delete(key);
    }
  }
  for (const effects of found.values())
    for (const effect of effects) findings.add('unexplained', `item: nobody sent row ${effect.id} of ${placeName(effect)}`, effect);
}

function auditKey(
  findings: Findings,
  { client, life, kept }: LifeModel,
  id: number,
  changes: readonly Step[],
  effects: readonly Effect[],
): void {
  const expected = expectedEffects(changes);
  const indexes = new Map(expected.map((name, i) => [name, i]));
  const counts = new Array<number>(expected.length).fill(0);
  const where = `item: row ${id} of client ${client}, life ${life}`;
  const placeOf = (i: number) => ({ client, life, n: changes[i]?.n ?? 0 });
  let newest = -1;
  for (const { op, n } of effects) {
    const i = indexes.get(`${op} ${n}`);
    if (i === undefined) {
      findings.add('unexplained', `${where}: an effect (${EFFECT_NAMES[op]}, step ${n}) that nobody sent`, { client, life, n });
      continue;
    }
    counts[i] = (counts[i] ?? 0) + 1;
    if (counts[i] === 1 && i < newest)
      findings.add('out of order', `${where}: step ${placeOf(i).n} took effect after step ${placeOf(newest).n}`, placeOf(i));
    newest = Math.max(newest, i);
  }
  counts.forEach((count, i) => {
    const place = placeOf(i);
    if (count > 1) findings.add('duplicated', `${where}: step ${place.n} took effect ${count} times`, place);
    else if (count === 0 && place.n <= kept) findings.add('lost', `${where}: step ${place.n} never took effect`, place);
    else if (count === 0 && i < newest)
      findings.add('lost', `${where}: step ${place.n} never took effect, and step ${placeOf(newest).n} did`, place);
  });
}

const EFFECT_NAMES: Readonly<Record<Effect['op'], string>> = { I: 'insert', U: 'update', D: 'delete' };

/** As a trigger sees them: a delete has the step of the row that goes away. */
function expectedEffects(changes: readonly Step[]): string[] {
  let holds: number | undefined;
  return changes.map(({ n, op }) => {
    if (op === 'delete') {
      const name = `D ${holds}`;
      holds = undefined;
      return name;
    }
    const name = `${holds === undefined ? 'I' : 'U'} ${n}`;
    holds = n;
    return name;
  });
}
