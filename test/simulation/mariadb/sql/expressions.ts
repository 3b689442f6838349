import type { BinaryOperator, Expression } from './ast.ts';
import type { Cursor } from './cursor.ts';

/** Reads an expression. From the weakest to the strongest: OR, AND, NOT, comparisons, sums, products, signs. */
export function readExpression(cursor: Cursor): Expression {
  let left = readConjunction(cursor);
  while (cursor.takes('OR')) left = { kind: 'binary', operator: 'OR', left, right: readConjunction(cursor) };
  return left;
}

function readConjunction(cursor: Cursor): Expression {
  let left = readNegation(cursor);
  while (cursor.takes('AND')) left = { kind: 'binary', operator: 'AND', left, right: readNegation(cursor) };
  return left;
}

function readNegation(cursor: Cursor): Expression {
  return cursor.takes('NOT') ? { kind: 'not', value: readNegation(cursor) } : readComparison(cursor);
}

const COMPARISONS: readonly BinaryOperator[] = ['=', '<>', '<=', '>=', '<', '>'];

function readComparison(cursor: Cursor): Expression {
  const left = readSum(cursor);
  const { upper } = cursor.token;
  if (cursor.takes('!=')) return { kind: 'binary', operator: '<>', left, right: readSum(cursor) };
  const operator = COMPARISONS.find((each) => each === upper);
  if (operator !== undefined) {
    cursor.next();
    return { kind: 'binary', operator, left, right: readSum(cursor) };
  }
  if (cursor.takes('IS')) {
    const negated = cursor.takes('NOT');
    cursor.expect('NULL');
    return { kind: 'is null', value: left, negated };
  }
  const negated = cursor.takes('NOT');
  if (cursor.takes('IN')) {
    cursor.expect('(');
    const list = cursor.list(() => readExpression(cursor));
    cursor.expect(')');
    return { kind: 'in', value: left, list, negated };
  }
  if (cursor.takes('BETWEEN')) {
    const least = readSum(cursor);
    cursor.expect('AND');
    const value: Expression = {
      kind: 'binary',
      operator: 'AND',
      left: { kind: 'binary', operator: '>=', left, right: least },
      right: { kind: 'binary', operator: '<=', left, right: readSum(cursor) },
    };
    return negated ? { kind: 'not', value } : value;
  }
  if (negated) cursor.fail('NOT before what is neither IN nor BETWEEN');
  return left;
}

function readSum(cursor: Cursor): Expression {
  let left = readProduct(cursor);
  for (;;) {
    if (cursor.takes('+')) left = { kind: 'binary', operator: '+', left, right: readProduct(cursor) };
    else if (cursor.takes('-')) left = { kind: 'binary', operator: '-', left, right: readProduct(cursor) };
    else return left;
  }
}

function readProduct(cursor: Cursor): Expression {
  let left = readSigned(cursor);
  for (;;) {
    if (cursor.takes('*')) left = { kind: 'binary', operator: '*', left, right: readSigned(cursor) };
    else if (cursor.takes('DIV')) left = { kind: 'binary', operator: 'DIV', left, right: readSigned(cursor) };
    else if (cursor.takes('%')) left = { kind: 'binary', operator: '%', left, right: readSigned(cursor) };
    else return left;
  }
}

function readSigned(cursor: Cursor): Expression {
  if (cursor.takes('+')) return readSigned(cursor);
  if (!cursor.takes('-')) return readPrimary(cursor);
  const value = readSigned(cursor);
  if (value.kind === 'literal' && (typeof value.value === 'number' || typeof value.value === 'bigint')) {
    return { ...value, value: value.type === 'integer' ? wholeNumber(`-${value.value}`) : -value.value };
  }
  return { kind: 'negative', value };
}

function readPrimary(cursor: Cursor): Expression {
  const token = cursor.next();
  switch (token.kind) {
    case 'number':
      return readNumber(token.text);
    case 'text':
      return { kind: 'literal', value: token.text, type: 'text' };
    case 'bytes':
      return { kind: 'literal', value: Buffer.from(token.text, 'hex'), type: 'bytes' };
    case 'variable':
      return { kind: 'variable', name: token.text };
    case 'name':
      return readColumn(cursor, token.text);
    case 'word':
      return readWord(cursor, token.text, token.upper);
    case 'sign':
      if (token.upper === '(') return readParenthesis(cursor);
      return cursor.fail('an expression was expected');
    case 'end':
      return cursor.fail('the statement ends too early');
  }
}

function readNumber(text: string): Expression {
  if (/^\d+$/.test(text)) return { kind: 'literal', value: wholeNumber(text), type: 'integer' };
  return { kind: 'literal', value: Number(text), type: 'double' };
}

/** A number where it is exact, else a bigint. */
function wholeNumber(digits: string): number | bigint {
  const number = Number(digits);
  return Number.isSafeInteger(number) ? number : BigInt(digits);
}

function readWord(cursor: Cursor, text: string, upper: string): Expression {
  if (upper === 'NULL') return { kind: 'literal', value: null, type: 'null' };
  if (upper === 'TRUE' || upper === 'FALSE') return { kind: 'literal', value: upper === 'TRUE' ? 1 : 0, type: 'integer' };
  if (upper === 'CASE') return readCase(cursor);
  if (!cursor.sees('(')) return readColumn(cursor, text);
  cursor.next();
  if (upper === 'VALUES') {
    const name = cursor.name();
    cursor.expect(')');
    return { kind: 'values', name };
  }
  if (upper === 'COUNT' && cursor.takes('*')) {
    cursor.expect(')');
    return { kind: 'call', name: upper, args: [] };
  }
  // Its first argument is a word of the language.
  const unit: Expression[] = [];
  if (upper === 'TIMESTAMPDIFF') {
    unit.push({ kind: 'literal', value: cursor.next().upper, type: 'text' });
    cursor.expect(',');
  }
  const args = cursor.sees(')') ? [] : cursor.list(() => readExpression(cursor));
  cursor.expect(')');
  return { kind: 'call', name: upper, args: [...unit, ...args] };
}

function readColumn(cursor: Cursor, name: string): Expression {
  if (!cursor.takes('.')) return { kind: 'column', table: undefined, name };
  return { kind: 'column', table: name, name: cursor.name() };
}

function readCase(cursor: Cursor): Expression {
  const subject = cursor.sees('WHEN') ? undefined : readExpression(cursor);
  const branches = [];
  while (cursor.takes('WHEN')) {
    const when = readExpression(cursor);
    cursor.expect('THEN');
    branches.push({ when, result: readExpression(cursor) });
  }
  const otherwise = cursor.takes('ELSE') ? readExpression(cursor) : undefined;
  cursor.expect('END');
  return { kind: 'case', subject, branches, otherwise };
}

function readParenthesis(cursor: Cursor): Expression {
  const items = cursor.list(() => readExpression(cursor));
  cursor.expect(')');
  return items.length === 1 ? (items[0] as Expression) : { kind: 'tuple', items };
}
