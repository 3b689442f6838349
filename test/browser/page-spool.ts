import type { Page } from 'playwright-core';
import type { Spool, SpooledFrame, SpoolState } from '../../src/client/spool.ts';
import { type ErrorCode, SyncError } from '../../src/core/errors.ts';
import { toHex } from '../../src/core/hex.ts';
import type { Place } from '../../src/core/stream.ts';
import type { CarriedFrame, Said, SpoolPage } from './spool-page.ts';

/** A spool in a real browser, as the tests of spools know it. */
export class PageSpool implements Spool {
  readonly restored: SpoolState;
  readonly #page: Page;
  readonly #id: number;
  /** Marks are not awaited by whoever gives them. */
  #marks: Promise<unknown> = Promise.resolve();

  private constructor(page: Page, id: number, restored: SpoolState) {
    this.#page = page;
    this.#id = id;
    this.restored = restored;
  }

  static async open(page: Page, name: string): Promise<PageSpool> {
    const { id, state } = value(await page.evaluate((name) => spoolPage.open(name), name));
    const held = state.held.map(({ hex, ...rest }) => ({ ...rest, bytes: Buffer.from(hex, 'hex') }));
    return new PageSpool(page, id, { stream: state.stream, left: state.left, note: state.note, assigned: new Map(state.assigned), held });
  }

  async append(frames: readonly SpooledFrame[]): Promise<void> {
    await this.#marks;
    value(await this.#page.evaluate(({ id, frames }) => spoolPage.append(id, frames), { id: this.#id, frames: frames.map(carried) }));
  }

  applied(partition: number, place: Place): void {
    const given = { id: this.#id, partition, place };
    this.#marks = this.#marks.then(() => this.#page.evaluate(({ id, partition, place }) => spoolPage.applied(id, partition, place), given));
  }

  async reset(stream: string, frames: readonly SpooledFrame[], left: readonly string[]): Promise<void> {
    await this.#marks;
    const given = { id: this.#id, stream, frames: frames.map(carried), left };
    value(await this.#page.evaluate(({ id, stream, frames, left }) => spoolPage.reset(id, stream, frames, left), given));
  }

  async remember(note: string): Promise<void> {
    value(await this.#page.evaluate(({ id, note }) => spoolPage.remember(id, note), { id: this.#id, note }));
  }

  async close(): Promise<void> {
    await this.#marks;
    if (!this.#page.isClosed()) value(await this.#page.evaluate((id) => spoolPage.close(id), this.#id));
  }
}

declare const spoolPage: SpoolPage;

function carried({ partition, seq, crc, bytes }: SpooledFrame): CarriedFrame {
  return { partition, seq, crc, hex: toHex(bytes) };
}

function value<T>(said: Said<T>): T {
  if ('code' in said) throw new SyncError(said.code as ErrorCode, said.message);
  return said.value;
}
