/** A piece of JavaScript for an expression. */
export interface Expression {
  readonly code: string;
  /** Code that gives whether it is true, where that is simpler. */
  readonly condition?: string;
  /** `all`: the code gives an array of results. */
  readonly results?: 'all';
  /** The name of a library function that is not called yet. */
  readonly path?: string;
  /** What Lua calls it in its messages. */
  readonly title?: string;
  /** Where a value may be assigned. */
  readonly target?: (value: string) => string;
}

const OPERATORS: Readonly<Record<string, string>> = {
  '<': 'isLess',
  '>': 'isGreater',
  '<=': 'isAtMost',
  '>=': 'isAtLeast',
  '+': 'add',
  '-': 'subtract',
  '*': 'multiply',
  '/': 'divide',
  '%': 'modulo',
  '..': 'concatenate',
};

/** Every operator with two operands but `and` and `or`. */
export function binary(operator: string, left: Expression, right: Expression): Expression {
  const operands = `${first(left)}, ${first(right)}`;
  if (operator === '==') return truth(`(${first(left)} === ${first(right)})`);
  if (operator === '~=') return truth(`(${first(left)} !== ${first(right)})`);
  const name = OPERATORS[operator]!;
  return name.startsWith('is') ? truth(`lua.${name}(${operands})`) : { code: `lua.${name}(${operands}${titles(left, right)})` };
}

/** `and` and `or`; `kept` is a variable of its own for the left side. */
export function logical(operator: 'and' | 'or', left: Expression, right: Expression, kept: string): Expression {
  const isTrue = `lua.isTrue(${kept} = ${first(left)})`;
  return operator === 'and'
    ? { code: `(${isTrue} ? ${first(right)} : ${kept})`, condition: `(${conditionOf(left)} && ${conditionOf(right)})` }
    : { code: `(${isTrue} ? ${kept} : ${first(right)})`, condition: `(${conditionOf(left)} || ${conditionOf(right)})` };
}

/** What gives a JavaScript boolean. */
export function truth(code: string): Expression {
  return { code, condition: code };
}

/** `table[key]`; `name` is the key when the source names it. */
export function indexed(table: Expression, key: string, name = '?'): Expression {
  const [code, named] = [first(table), titles(table)];
  return {
    code: `lua.getIndex(${code}, ${key}${named})`,
    title: `field '${name}'`,
    target: (value) => `lua.setIndex(${code}, ${key}, ${value}${named})`,
  };
}

/** The last arguments of an operator: what its operands are called, where one has a name. */
export function titles(...operands: readonly Expression[]): string {
  if (operands.every(({ title }) => title === undefined)) return '';
  return operands.map(({ title = '' }) => `, ${JSON.stringify(title)}`).join('');
}

/** The expression where one value is wanted. */
export function first({ code, results, path }: Expression): string {
  if (path !== undefined) throw new SyntaxError(`${path} as a value is outside of the Lua that the simulation runs`);
  return results === undefined ? code : `${code}[0]`;
}

/** The items of a list, in which the last counts with all its results. */
export function list(expressions: readonly Expression[]): string {
  return expressions.map((one, i) => (i === expressions.length - 1 && one.results === 'all' ? `...${one.code}` : first(one))).join(', ');
}

/** Code that gives whether the expression is true. */
export function conditionOf(expression: Expression): string {
  return expression.condition ?? `lua.isTrue(${first(expression)})`;
}
