import { encodeFrame, FRAME } from '../protocol/frame.ts';
import { encodeCredit } from '../protocol/messages.ts';
import type { Outbox } from './outbox.ts';

/** Why a session is held back: the queue takes nothing, the floor cannot be read, or its producer sent more than it may. */
export type CreditCause = 'queue' | 'floor' | 'pace';

/** The window that the client was told: all of it, or 0 with a reason while anything holds it back. */
export class Credit {
  readonly #outbox: Outbox;
  readonly #windowBytes: number;
  /** Made when the first one comes: most connections are never held back. */
  #reasons: Map<CreditCause, string> | undefined;
  /** The reason that the client was told; undefined while its window is open. */
  #told: string | undefined;
  #started = false;

  constructor(outbox: Outbox, windowBytes: number) {
    this.#outbox = outbox;
    this.#windowBytes = windowBytes;
  }

  /** WELCOME has opened the window; from now on changes are told. */
  start(): void {
    this.#started = true;
    this.#tell();
  }

  hold(cause: CreditCause, reason: string): void {
    (this.#reasons ??= new Map<CreditCause, string>()).set(cause, reason);
    this.#tell();
  }

  release(cause: CreditCause): void {
    if (this.#reasons?.delete(cause) === true) this.#tell();
  }

  #tell(): void {
    const reason = this.#reasons?.values().next().value;
    if (!this.#started || reason === this.#told) return;
    this.#told = reason;
    const payload = encodeCredit(reason === undefined ? { bytes: this.#windowBytes } : { bytes: 0, reason });
    this.#outbox.send(encodeFrame({ type: FRAME.credit, payload }));
  }
}
