import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FaultProxy } from '../../src/chaos/fault-proxy.ts';
import { auditEffects } from '../support/audit.ts';
import { createAuditedFile, readAuditedFile } from '../support/audited-file.ts';
import { browserScript } from '../support/browser-script.ts';
import { ChromiumProcess, chromiumMissing } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { PageServer } from '../support/page-server.ts';
import { KEYS } from '../support/producer-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import type { LoadPage } from './load-page.ts';

/** As many as you like: SYNCLINE_BROWSER_ROWS=100000. */
const ROWS = Number(process.env['SYNCLINE_BROWSER_ROWS'] ?? 20_000);
const CHUNK_ROWS = 500;
const AWAY = { timeout: 60_000 };

declare const loadPage: LoadPage;

describe.skipIf(chromiumMissing !== undefined)(
  `a client in Chromium${chromiumMissing === undefined ? '' : ` (${chromiumMissing})`}`,
  () => {
    let server: ServerProcess;
    let door: FaultProxy;
    let pages: PageServer;
    let browser: ChromiumProcess;

    beforeEach(async () => {
      pages = await PageServer.start(await browserScript(new URL('load-page.ts', import.meta.url)));
      const webPort = await freePort();
      server = await ServerProcess.create({ SYNCLINE_WEB_PORT: String(webPort), SYNCLINE_WEB_ORIGINS: new URL(pages.url).origin });
      createAuditedFile(join(server.data, 'data.db'));
      await server.start();
      door = await FaultProxy.start(webPort);
      browser = new ChromiumProcess();
      await browser.start();
    });
    afterEach(async () => {
      await browser.close();
      pages.close();
      await door.close();
      await server.close();
    });

    test(
      `loses none of ${ROWS} rows and applies none twice, whatever happens to network, server, page and browser`,
      { timeout: 600_000 },
      async () => {
        /** By generation, up to which n the page knew its rows to be in the spool. */
        const spooled = new Map<number, number>();
        let page = await openPage();
        let generation = 0;
        const begin = async () => {
          generation += 1;
          await page.evaluate(([url, generation, keys]) => loadPage.open(url, generation, keys), [
            `ws://127.0.0.1:${door.port}/ws`,
            generation,
            KEYS,
          ] as const);
        };
        /** Writes `share` of all rows, in pieces. */
        const write = async (share: number) => {
          for (let left = Math.ceil(ROWS * share); left > 0; left -= CHUNK_ROWS)
            spooled.set(generation, await page.evaluate((count) => loadPage.write(count), Math.min(left, CHUNK_ROWS)));
        };
        const connected = (expected: boolean) =>
          eventually(async () => expect(await page.evaluate(() => loadPage.isConnected())).toBe(expected), AWAY.timeout);
        /** Leaves the page while it writes; what it did not know to be kept may be there or not. */
        const interrupted = async (interrupt: () => Promise<unknown>) => {
          const writing = page.evaluate((count) => loadPage.write(count), CHUNK_ROWS).catch(() => undefined);
          await interrupt();
          await writing;
        };

        await begin();
        await connected(true);
        await write(0.1);

        // Without a network.
        await browser.context.setOffline(true);
        door.reset();
        await connected(false);
        await write(0.15);
        expect(door.connectionCount).toBe(0);
        await browser.context.setOffline(false);
        await connected(true);
        await write(0.1);

        // Loaded again in the middle of a write, the second time without a network.
        await interrupted(() => page.reload());
        await begin();
        await write(0.1);
        await browser.context.setOffline(true);
        door.reset();
        await write(0.1);
        await browser.context.setOffline(false);
        await interrupted(() => page.reload());
        await begin();
        await write(0.1);

        // The server dies, and comes back when more has been written.
        const writing = write(0.1);
        await server.stop('SIGKILL');
        await writing;
        await write(0.05);
        await server.start();
        await write(0.05);

        // The tab is closed, and another one opened.
        await interrupted(() => page.close());
        page = await openPage();
        await begin();
        await write(0.05);

        // The browser dies.
        await interrupted(() => browser.kill());
        await browser.start();
        page = await openPage();
        await begin();
        await write(0.1);

        const complaints = await page.evaluate(() => loadPage.finish());
        const { audit, items, strayLetters } = readAuditedFile(join(server.data, 'data.db'));
        expect([...spooled.values()].reduce((sum, n) => sum + n, 0)).toBeGreaterThanOrEqual(ROWS);
        expect(auditEffects({ spooled, refused: new Set(), complaints }, audit, items, KEYS)).toEqual({
          lost: [],
          duplicated: [],
          outOfOrder: [],
          other: [],
        });
        expect(strayLetters).toBe(0);
      },
    );

    async function openPage(): Promise<Page> {
      const page = await browser.context.newPage();
      await page.goto(pages.url, { waitUntil: 'load' });
      return page;
    }
  },
);
