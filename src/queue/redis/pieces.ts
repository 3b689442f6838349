import type { Socket } from 'node:net';
import { Command } from 'ioredis';
import type { Argument } from './link.ts';

/** One argument in pieces, which are sent as they are: to join them is to copy every byte, once here and once in the driver. */
export type Pieces = readonly Uint8Array[];

/** A command that has an argument in pieces. It leaves together with what is sent in the same turn. */
export class PiecesCommand extends Command {
  readonly parts: readonly (Argument | Pieces)[];

  constructor(name: string, args: readonly (Argument | Pieces)[]) {
    super(name, [], { replyEncoding: null });
    this.parts = [name, ...args];
  }

  /** Writes all but the end, which it returns for the driver to write. */
  override toWritable(stream: object): string {
    const socket = stream as Socket;
    socket.cork();
    process.nextTick(() => socket.uncork());
    let text = `*${this.parts.length}`;
    for (const part of this.parts) {
      const pieces = piecesOf(part);
      let bytes = 0;
      for (const piece of pieces) bytes += piece.length;
      socket.write(`${text}\r\n$${bytes}\r\n`);
      for (const piece of pieces) socket.write(piece);
      text = '';
    }
    return '\r\n';
  }
}

export function hasPieces(args: readonly (Argument | Pieces)[]): boolean {
  return args.some((arg) => Array.isArray(arg));
}

function piecesOf(part: Argument | Pieces): Pieces {
  if (typeof part === 'string' || typeof part === 'number') return [Buffer.from(String(part))];
  return Buffer.isBuffer(part) ? [part] : part;
}
