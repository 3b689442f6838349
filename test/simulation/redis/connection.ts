import { Together, type Wire } from '../world/wire.ts';
import type { Client } from './channels.ts';
import { replyBytes, type Reply } from './replies.ts';

/** What a driver sends when it has nothing more to send: the half-close of TCP, which a {@link Wire} does not have. */
export const END_OF_COMMANDS = Symbol('end of commands');

export interface ConnectionParts {
  readonly wire: Wire;
  execute(args: readonly string[], client: Client): Reply;
  /** It has ended, whoever ended it. */
  onEnd(): void;
}

/** The server's end of a connection: what arrived together is answered together. */
export class ServerConnection implements Client {
  readonly #parts: ConnectionParts;
  /** What is to be sent when the commands that run now are done. */
  #replies: Reply[] | undefined;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    parts.wire.open({
      message: (message) => {
        if (message === END_OF_COMMANDS) {
          parts.onEnd();
          parts.wire.close();
        } else this.#run((message as Together).messages as readonly (readonly string[])[]);
      },
      closed: () => parts.onEnd(),
    });
  }

  deliver(message: Reply): void {
    if (this.#replies !== undefined) this.#replies.push(message);
    else this.#send([message]);
  }

  /** Ends it at once, as a reset. */
  break(): void {
    this.#parts.onEnd();
    this.#parts.wire.reset();
  }

  #run(commands: readonly (readonly string[])[]): void {
    const replies: Reply[] = [];
    this.#replies = replies;
    for (const args of commands) replies.push(this.#parts.execute(args, this));
    this.#replies = undefined;
    this.#send(replies);
  }

  #send(replies: readonly Reply[]): void {
    this.#parts.wire.send(new Together(replies), replyBytes(replies));
  }
}
