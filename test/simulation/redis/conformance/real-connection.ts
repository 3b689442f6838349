import { connect, type Socket } from 'node:net';
import { ErrorReply, StatusReply, type Reply } from '../replies.ts';

/** One connection to a real Redis that keeps apart what Redis keeps apart: status, error and string. */
export interface RealConnection {
  /** Replies that no {@link execute} waits for, in their order. */
  readonly others: Reply[];
  readonly isClosed: boolean;
  /** Sends a command whose replies, however many, are among the others. */
  send(args: readonly string[]): void;
  execute(args: readonly string[]): Promise<Reply>;
  close(): void;
}

/** Connects; `execute` rejects when the connection ends. */
export async function connectReal(port: number): Promise<RealConnection> {
  const socket = connect(port, '127.0.0.1');
  await new Promise<void>((resolve, reject) => void socket.once('connect', resolve).once('error', reject));
  return new Connection(socket);
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

class Connection implements RealConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  readonly others: Reply[] = [];
  isClosed = false;
  #text = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#received(text));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection ended'));
    });
  }

  execute(args: readonly string[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.send(args);
    });
  }

  send(args: readonly string[]): void {
    this.#socket.write(`*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`, 'latin1');
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(text: string): void {
    this.#text += text;
    for (;;) {
      const read = readReply(this.#text, 0);
      if (read === undefined) return;
      this.#text = this.#text.slice(read.end);
      const first = this.#waiting.shift();
      if (first === undefined) this.others.push(read.reply);
      else first.resolve(read.reply);
    }
  }
}

/** The reply at `at`, and where it ends; undefined while a part is missing. */
function readReply(text: string, at: number): { readonly reply: Reply; readonly end: number } | undefined {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const line = text.slice(at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (text[at]) {
    case '+':
      return { reply: new StatusReply(line), end };
    case '-':
      return { reply: new ErrorReply(line), end };
    case ':':
      return { reply: Number(line), end };
    case '$':
      if (line === '-1') return { reply: null, end };
      return text.length < end + Number(line) + 2 ? undefined : { reply: text.slice(end, end + Number(line)), end: end + Number(line) + 2 };
    case '*':
      return readItems(text, end, Number(line));
    default:
      throw new Error(`no reply begins with ${text[at]}`);
  }
}

function readItems(text: string, at: number, count: number): ReturnType<typeof readReply> {
  if (count < 0) return { reply: null, end: at };
  const items: Reply[] = [];
  for (let end = at; ;) {
    if (items.length === count) return { reply: items, end };
    const item = readReply(text, end);
    if (item === undefined) return undefined;
    items.push(item.reply);
    end = item.end;
  }
}
