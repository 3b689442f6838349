import { randomBytes } from 'node:crypto';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeSpool } from '../contract/spool.contract.ts';
import { browserScript } from '../support/browser-script.ts';
import { ChromiumProcess, chromiumMissing } from '../support/chromium.ts';
import { FrameChain, heldOf } from '../support/frame-chain.ts';
import { PageServer } from '../support/page-server.ts';
import { PageSpool } from './page-spool.ts';

const STREAM = '00112233445566778899aabbccddeeff';

describe.skipIf(chromiumMissing !== undefined)(
  `IndexedDB in Chromium${chromiumMissing === undefined ? '' : ` (${chromiumMissing})`}`,
  () => {
    let script: string;
    let pages: PageServer;
    let browser: ChromiumProcess;
    let page: Page;
    let count = 0;

    beforeAll(async () => {
      script = await browserScript(new URL('spool-page.ts', import.meta.url));
      pages = await PageServer.start(script);
      browser = new ChromiumProcess();
      await browser.start();
      page = await newPage();
    });
    afterAll(async () => {
      await browser.close();
      pages.close();
    });

    async function newPage(url = pages.url): Promise<Page> {
      const opened = await browser.context.newPage();
      await opened.goto(url, { waitUntil: 'load' });
      return opened;
    }

    function newName(): string {
      count += 1;
      return `spool ${count}`;
    }

    describeSpool('a spool in IndexedDB', () => {
      const name = newName();
      return Promise.resolve({ open: () => PageSpool.open(page, name) });
    });

    test('two tabs: the second is refused until the first is closed', async () => {
      const name = newName();
      const other = await newPage();
      const spool = await PageSpool.open(other, name);
      await spool.reset(STREAM, new FrameChain(1).next(2), []);
      await expect(PageSpool.open(page, name)).rejects.toMatchObject({ code: 'spool_locked' });
      await other.close();
      const found = await PageSpool.open(page, name);
      expect(heldOf(found)).toEqual(['1:1', '1:2']);
      await found.close();
    });

    test('a page that is loaded again finds its spool free, and what it had', async () => {
      const name = newName();
      const reloaded = await newPage();
      for (let load = 0; load < 5; load++) {
        const spool = await PageSpool.open(reloaded, name);
        expect(heldOf(spool)).toHaveLength(load);
        const chain = new FrameChain(1);
        chain.next(load);
        if (load === 0) await spool.reset(STREAM, [], []);
        await spool.append(chain.next(1));
        await reloaded.reload({ waitUntil: 'load' });
      }
      await reloaded.close();
    });

    test('a full disk: nothing of an append is kept, and the next attempt succeeds', async () => {
      const name = newName();
      // A site of its own: how much room there is, the browser remembers for a while.
      const { origin } = new URL(pages.url.replace('127.0.0.1', 'localhost'));
      const full = await newPage(origin);
      const session = await browser.context.newCDPSession(full);
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2_500_000 });
      // What cannot be compressed.
      const chain = new FrameChain(0, () => randomBytes(1_500_000));
      const spool = await PageSpool.open(full, name);
      await spool.reset(STREAM, chain.next(1), []);
      const frames = chain.next(2);
      await expect(spool.append(frames)).rejects.toMatchObject({
        code: 'spool_unavailable',
        message: expect.stringContaining('QuotaExceededError') as string,
      });
      await session.send('Storage.overrideQuotaForOrigin', { origin });
      await spool.append(frames);
      await spool.close();
      const found = await PageSpool.open(full, name);
      expect(heldOf(found)).toEqual(['0:1', '0:2', '0:3']);
      await found.close();
      await full.close();
    });

    test('kill -9 of the browser loses nothing that was appended', async () => {
      const name = newName();
      const chain = new FrameChain(3, 200);
      const spool = await PageSpool.open(page, name);
      await spool.reset(STREAM, [], []);
      for (let i = 0; i < 20; i++) await spool.append(chain.next(3));
      await browser.kill();
      await browser.start();
      page = await newPage();
      const found = await PageSpool.open(page, name);
      expect(found.restored.stream).toBe(STREAM);
      expect(heldOf(found)).toEqual(chain.frames.map(({ seq }) => `3:${seq}`));
      expect(found.restored.held.map(({ crc }) => crc)).toEqual(chain.frames.map(({ crc }) => crc));
      await found.close();
    });
  },
);
