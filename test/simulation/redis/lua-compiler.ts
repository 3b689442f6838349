import { binary, conditionOf, first, indexed, list, logical, titles, truth, type Expression } from './lua-expressions.ts';
import { LIBRARY, MULTIPLE } from './lua-library.ts';
import { tokenize, type Token } from './lua-tokens.ts';

const BINARY: Readonly<Record<string, { readonly left: number; readonly right: number }>> = {
  or: { left: 1, right: 1 },
  and: { left: 2, right: 2 },
  '<': { left: 3, right: 3 },
  '>': { left: 3, right: 3 },
  '<=': { left: 3, right: 3 },
  '>=': { left: 3, right: 3 },
  '~=': { left: 3, right: 3 },
  '==': { left: 3, right: 3 },
  // Right to left.
  '..': { left: 5, right: 4 },
  '+': { left: 6, right: 6 },
  '-': { left: 6, right: 6 },
  '*': { left: 7, right: 7 },
  '/': { left: 7, right: 7 },
  '%': { left: 7, right: 7 },
};
const UNARY = 8;
const NAMESPACES = new Set(['redis', 'string', 'struct', 'table', 'math']);
const BUILT_IN = new Set(['redis.call', 'pairs', 'ipairs']);

/**
 * The body of a JavaScript function for a script in the subset of Lua 5.1 that Syncline's scripts use: no functions, no
 * globals, no metatables. It reads `KEYS`, `ARGV`, `call` (of `redis.call`), `lua` (the operators) and `library`, keeps the line
 * that it is at in `at.line`, and returns the first value that the script returns.
 * @throws {SyntaxError} that names the line for anything outside of the subset.
 */
export function compileLua(source: string): string {
  return new Compiler(tokenize(source)).program();
}

class Compiler {
  readonly #tokens: readonly Token[];
  #next = 0;
  /** Names of locals in JavaScript, by their names in Lua: the innermost block last. */
  readonly #scopes: Map<string, string>[] = [new Map()];
  #names = 0;
  /** Variables that hold the left side of `and` and `or`. */
  #temporaries = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
    this.#scopes[0]!.set('KEYS', 'KEYS').set('ARGV', 'ARGV');
  }

  program(): string {
    const body = this.#block();
    if (this.#token.kind !== 'end') throw this.#unknown('a statement');
    const temporaries = Array.from({ length: this.#temporaries }, (_, i) => `$${i}`);
    return `"use strict";\n${temporaries.length > 0 ? `let ${temporaries.join(', ')};\n` : ''}${body}`;
  }

  // Statements

  #block(): string {
    this.#scopes.push(new Map());
    let code = '';
    while (this.#token.kind !== 'end' && !this.#sees('end', 'else', 'elseif', 'until')) {
      const isReturn = this.#sees('return');
      code += this.#statement();
      this.#accept(';');
      if (isReturn) break;
    }
    this.#scopes.pop();
    return code;
  }

  #statement(): string {
    const here = this.#mark();
    if (this.#accept('local')) return `${here};${this.#local()}`;
    if (this.#accept('if')) return this.#if();
    if (this.#accept('while')) {
      const condition = conditionOf(this.#expression());
      this.#expect('do');
      const body = this.#block();
      this.#expect('end');
      return `while (${here}, ${condition}) {\n${body}}\n`;
    }
    if (this.#accept('repeat')) return this.#repeat();
    if (this.#accept('for')) return `${here};${this.#for()}`;
    if (this.#accept('do')) {
      const body = this.#block();
      this.#expect('end');
      return `{\n${body}}\n`;
    }
    if (this.#accept('break')) return 'break;\n';
    if (this.#accept('return')) return `${here};${this.#return()}`;
    return `${here};${this.#assignmentOrCall()}`;
  }

  #local(): string {
    const names = [this.#name()];
    while (this.#accept(',')) names.push(this.#name());
    // The values do not see the new names.
    const values = this.#accept('=') ? this.#expressions() : [];
    const declared = names.map((name) => this.#declare(name));
    if (values.length === 0) return `let ${declared.join(', ')};\n`;
    if (names.length === 1 && values.length === 1) return `let ${declared[0]} = ${first(values[0]!)};\n`;
    return `let [${declared.join(', ')}] = [${list(values)}];\n`;
  }

  #if(): string {
    let code = `${this.#mark()};if (${conditionOf(this.#expression())}) {\n`;
    this.#expect('then');
    code += this.#block();
    while (this.#sees('elseif')) {
      const here = this.#mark();
      this.#next++;
      code += `} else if (${here}, ${conditionOf(this.#expression())}) {\n`;
      this.#expect('then');
      code += this.#block();
    }
    if (this.#accept('else')) code += `} else {\n${this.#block()}`;
    this.#expect('end');
    return `${code}}\n`;
  }

  #repeat(): string {
    // The condition sees the locals of the body.
    this.#scopes.push(new Map());
    let body = '';
    while (!this.#sees('until')) body += this.#statement();
    const here = this.#mark();
    this.#expect('until');
    const condition = conditionOf(this.#expression());
    this.#scopes.pop();
    return `for (;;) {\n${body}if (${here}, ${condition}) break;\n}\n`;
  }

  #for(): string {
    const names = [this.#name()];
    while (this.#accept(',')) names.push(this.#name());
    return this.#accept('=') ? this.#numericFor(names) : this.#genericFor(names);
  }

  #numericFor(names: readonly string[]): string {
    const [from, to, by] = this.#expressions();
    if (names.length !== 1 || from === undefined || to === undefined) throw this.#unknown('a loop');
    this.#expect('do');
    this.#scopes.push(new Map());
    const [counter, limit, step] = [this.#fresh('i'), this.#fresh('limit'), this.#fresh('step')];
    const variable = this.#declare(names[0]!);
    const body = this.#block();
    this.#scopes.pop();
    this.#expect('end');
    const start = `let ${counter} = lua.loopNumber(${first(from)}, 'initial value'), ${limit} = lua.loopNumber(${first(to)}, 'limit')`;
    const steps = `${step} = ${by ? `lua.loopNumber(${first(by)}, 'step')` : '1'}`;
    const test = `${step} > 0 ? ${counter} <= ${limit} : ${counter} >= ${limit}`;
    return `for (${start}, ${steps}; ${test}; ${counter} += ${step}) {\nlet ${variable} = ${counter};\n${body}}\n`;
  }

  #genericFor(names: readonly string[]): string {
    this.#expect('in');
    const iterator = this.#name();
    if ((iterator !== 'pairs' && iterator !== 'ipairs') || names.length > 2)
      throw this.#unknown('a loop over anything but pairs and ipairs');
    this.#expect('(');
    const table = first(this.#expression());
    this.#expect(')');
    this.#expect('do');
    this.#scopes.push(new Map());
    const declared = names.map((name) => this.#declare(name));
    const body = this.#block();
    this.#scopes.pop();
    this.#expect('end');
    return `for (let [${declared.join(', ')}] of lua.${iterator}(${table})) {\n${body}}\n`;
  }

  #return(): string {
    if (this.#token.kind === 'end' || this.#sees('end', 'else', 'elseif', 'until')) return 'return;\n';
    const [value] = this.#expressions();
    return `return ${first(value!)};\n`;
  }

  #assignmentOrCall(): string {
    const targets = [this.#suffixed()];
    if (!this.#sees('=', ',')) {
      if (targets[0]!.target !== undefined || targets[0]!.path !== undefined) throw this.#unknown('a statement');
      return `${targets[0]!.code};\n`;
    }
    while (this.#accept(',')) targets.push(this.#suffixed());
    this.#expect('=');
    const values = this.#expressions();
    const assign = targets.map(({ target }) => target ?? (() => this.#refuse('an assignment to what is no local')));
    if (targets.length === 1 && values.length === 1) return `${assign[0]!(first(values[0]!))};\n`;
    const names = targets.map(() => this.#fresh('value'));
    return `const [${names.join(', ')}] = [${list(values)}];\n${names.map((name, i) => `${assign[i]!(name)};\n`).join('')}`;
  }

  // Expressions

  #expressions(): Expression[] {
    const expressions = [this.#expression()];
    while (this.#accept(',')) expressions.push(this.#expression());
    return expressions;
  }

  #expression(limit = 0): Expression {
    let left = this.#unary();
    for (;;) {
      const { text, kind } = this.#token;
      const power = kind === 'symbol' || kind === 'keyword' ? BINARY[text] : undefined;
      if (power === undefined || power.left <= limit) return left;
      this.#next++;
      const right = this.#expression(power.right);
      left = text === 'and' || text === 'or' ? logical(text, left, right, `$${this.#temporaries++}`) : binary(text, left, right);
    }
  }

  #unary(): Expression {
    if (this.#accept('not')) return truth(`!${conditionOf(this.#expression(UNARY))}`);
    if (this.#accept('#')) return this.#applied('lengthOf');
    if (this.#accept('-')) return this.#applied('negate');
    return this.#simple();
  }

  #applied(operator: string): Expression {
    const operand = this.#expression(UNARY);
    return { code: `lua.${operator}(${first(operand)}${titles(operand)})` };
  }

  #simple(): Expression {
    const { kind, text } = this.#token;
    if (kind === 'number') return this.#take(String(Number(text)));
    if (kind === 'string') return this.#take(JSON.stringify(text));
    if (text === 'nil') return this.#take('undefined');
    if (text === 'true' || text === 'false') return this.#take(text);
    if (text === '{') return this.#table();
    return this.#suffixed();
  }

  #suffixed(): Expression {
    let expression = this.#primary();
    for (;;) {
      if (this.#accept('.')) {
        const name = this.#name();
        expression =
          expression.path === undefined ? indexed(expression, JSON.stringify(name), name) : this.#library(`${expression.path}.${name}`);
      } else if (this.#accept('[')) {
        const key = first(this.#expression());
        this.#expect(']');
        if (expression.path !== undefined) throw this.#unknown('a library as a table');
        expression = indexed(expression, key);
      } else if (this.#sees('(')) expression = this.#call(expression);
      else return expression;
    }
  }

  #primary(): Expression {
    if (this.#accept('(')) {
      const inner = this.#expression();
      this.#expect(')');
      return { code: first(inner) };
    }
    const name = this.#name();
    const local = this.#scopes.findLast((scope) => scope.has(name))?.get(name);
    if (local !== undefined) return { code: local, title: `local '${name}'`, target: (value) => `${local} = ${value}` };
    return NAMESPACES.has(name) ? { code: '', path: name } : this.#library(name);
  }

  #library(path: string): Expression {
    if (!Object.hasOwn(LIBRARY, path) && !BUILT_IN.has(path)) this.#refuse(path);
    return { code: '', path };
  }

  #call(callee: Expression): Expression {
    const { path } = callee;
    if (path === undefined || path === 'pairs' || path === 'ipairs') throw this.#unknown('a call of anything but the library');
    const here = this.#mark();
    this.#expect('(');
    const args = this.#sees(')') ? [] : this.#expressions();
    this.#expect(')');
    if (path === 'redis.call') return { code: `(${here}, call([${list(args)}]))` };
    const code = `library[${JSON.stringify(path)}](${list(args)})`;
    return MULTIPLE.has(path) ? { code, results: 'all' } : { code };
  }

  #table(): Expression {
    this.#expect('{');
    const items: Expression[] = [];
    let fields = '';
    while (!this.#sees('}')) {
      const isField = this.#token.kind === 'name' && this.#tokens[this.#next + 1]?.text === '=';
      if (this.#sees('[')) throw this.#unknown('a computed key');
      if (isField) {
        const name = this.#name();
        this.#expect('=');
        fields += `.with(${JSON.stringify(name)}, ${first(this.#expression())})`;
      } else items.push(this.#expression());
      if (!this.#accept(',') && !this.#accept(';')) break;
    }
    this.#expect('}');
    return { code: `new lua.LuaTable([${list(items)}])${fields}` };
  }

  // Tokens

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }

  #take(code: string): Expression {
    this.#next++;
    return { code };
  }

  #sees(...texts: string[]): boolean {
    return (this.#token.kind === 'keyword' || this.#token.kind === 'symbol') && texts.includes(this.#token.text);
  }

  #accept(text: string): boolean {
    if (!this.#sees(text)) return false;
    this.#next++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw this.#unknown(`'${text}' here`);
  }

  #name(): string {
    const { kind, text } = this.#token;
    if (kind !== 'name') throw this.#unknown('a name');
    this.#next++;
    return text;
  }

  #mark(): string {
    return `at.line = ${this.#token.line}`;
  }

  #declare(name: string): string {
    const fresh = this.#fresh(name);
    this.#scopes.at(-1)!.set(name, fresh);
    return fresh;
  }

  #fresh(name: string): string {
    return `${name}_${++this.#names}`;
  }

  #unknown(wanted: string): SyntaxError {
    return new SyntaxError(`line ${this.#token.line}: expected ${wanted}, not ${this.#token.text}, in the Lua that the simulation runs`);
  }

  #refuse(what: string): never {
    throw new SyntaxError(`line ${this.#token.line}: ${what} is outside of the Lua that the simulation runs`);
  }
}
