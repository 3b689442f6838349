import { Together, type Wire } from '../world/wire.ts';
import type { Client } from './channels.ts';
import { LATER, NO_REPLY, replyBytes, type Reply } from './replies.ts';

/** What a driver sends when it has nothing more to send: the half-close of TCP, which a {@link Wire} does not have. */
export const END_OF_COMMANDS = Symbol('end of commands');

export interface ConnectionParts {
  readonly wire: Wire;
  execute(args: readonly string[], client: Client): Reply;
  /** Whether the process is busy with something else, until {@link ServerConnection.goOn}; not when it is left out. */
  isHeld?(): boolean;
  /** It has ended, whoever ended it. */
  onEnd(): void;
}

/** The server's end of a connection: what arrived together is answered together. */
export class ServerConnection implements Client {
  readonly #parts: ConnectionParts;
  /** What is to be sent when the commands that run now are done. */
  #replies: Reply[] | undefined;
  /** A command waits for its answer. */
  #isBlocked = false;
  /** What came after that. */
  #commands: (readonly string[])[] = [];

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    parts.wire.open({
      message: (message) => {
        if (message === END_OF_COMMANDS) this.end();
        else this.#run((message as Together).messages as readonly (readonly string[])[]);
      },
      closed: () => parts.onEnd(),
    });
  }

  get peer(): string {
    return this.#parts.wire.peer;
  }

  deliver(message: Reply): void {
    if (this.#replies !== undefined) this.#replies.push(message);
    else this.#send([message]);
  }

  answer(reply: Reply, then?: 'and end'): void {
    this.#isBlocked = false;
    this.#send([reply]);
    if (then === 'and end') this.end();
    else this.#run([]);
  }

  /** The process has time again. */
  goOn(): void {
    if (this.#commands.length > 0) this.#run([]);
  }

  transmit(message: unknown, bytes: number): void {
    this.#parts.wire.send(message, bytes);
  }

  break(): void {
    this.#parts.onEnd();
    this.#parts.wire.reset();
  }

  #run(commands: readonly (readonly string[])[]): void {
    this.#commands.push(...commands);
    const replies: Reply[] = [];
    this.#replies = replies;
    while (!this.#isBlocked && this.#commands.length > 0 && this.#parts.isHeld?.() !== true) {
      const reply = this.#parts.execute(this.#commands.shift()!, this);
      if (reply === LATER) this.#isBlocked = true;
      else if (reply !== NO_REPLY) replies.push(reply);
    }
    this.#replies = undefined;
    if (replies.length > 0) this.#send(replies);
  }

  /** Ends it when what was sent has been received. */
  end(): void {
    this.#parts.onEnd();
    this.#parts.wire.close();
  }

  #send(replies: readonly Reply[]): void {
    this.#parts.wire.send(new Together(replies), replyBytes(replies));
  }
}
