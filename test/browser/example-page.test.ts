import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROWSER_CLIENT, bundleForBrowser } from '../../scripts/browser-bundle.ts';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { ChromiumProcess, chromiumMissing } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ServerProcess } from '../support/server-process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Set it, and the page is there to be looked at. */
const SCREENSHOTS = process.env['SYNCLINE_SCREENSHOTS'];

describe.skipIf(chromiumMissing !== undefined)(`examples/browser${chromiumMissing === undefined ? '' : ` (${chromiumMissing})`}`, () => {
  let server: ServerProcess;
  let browser: ChromiumProcess;
  let serving: ChildProcess;
  let page: Page;

  beforeAll(async () => {
    const [port, webPort] = [await freePort(), await freePort()];
    server = await ServerProcess.create({ SYNCLINE_WEB_PORT: String(webPort), SYNCLINE_WEB_ORIGINS: `http://127.0.0.1:${port}` });
    await server.start();
    const bundle = `${ROOT}dist/browser/client.js`;
    if (!existsSync(bundle)) await bundleForBrowser(BROWSER_CLIENT, bundle);
    serving = spawn(process.execPath, [`${ROOT}examples/browser/serve.ts`, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
    endWithUs(serving);
    await once(serving.stdout!, 'data');
    browser = new ChromiumProcess();
    await browser.start();
    page = await browser.context.newPage();
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`http://127.0.0.1:${port}/?url=${encodeURIComponent(`ws://127.0.0.1:${webPort}/ws`)}`);
  });
  afterAll(async () => {
    await browser.close();
    serving.kill();
    await server.close();
  });

  const errors: string[] = [];
  const text = (id: string) => page.locator(`#${id}`).innerText();
  const shows = (expected: Readonly<Record<string, string>>) =>
    eventually(async () => {
      for (const [id, value] of Object.entries(expected)) expect(await text(id), id).toBe(value);
    }, 20_000);
  const photograph = async (name: string) => {
    if (SCREENSHOTS !== undefined) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  };

  test('shows what is pending and what is in the database, offline, online and after it was loaded again', async () => {
    await shows({ state: 'connected', written: '0', pending: '0', applied: '0', rejected: '0' });
    await page.fill('input[name=text]', 'Buy milk');
    await page.click('button.main');
    await shows({ written: '1', pending: '0', applied: '1' });

    await page.click('#offline');
    await shows({ state: 'offline' });
    await page.click('#many');
    await shows({ written: '1,001', pending: '1,000', applied: '1' });
    await photograph('offline');
    await page.click('#offline');
    await shows({ state: 'connected', pending: '0', applied: '1,001' });
    await photograph('online');

    await page.click('#offline');
    await shows({ state: 'offline' });
    await page.click('#many');
    await shows({ pending: '1,000' });
    await eventually(async () => expect(await text('log')).toMatch(/1,000 notes are safe/));
    await page.reload();
    // Some may be on their way before the page says so.
    await eventually(async () => expect(await text('log')).toMatch(/connected to/));
    await shows({ state: 'connected', pending: '0', applied: '1,000', rejected: '0' });

    const db = new DatabaseSync(join(server.data, 'data.db'), { readOnly: true });
    expect(db.prepare('SELECT count(*) AS n FROM notes').get()?.['n']).toBe(2001);
    db.close();
    expect(errors).toEqual([]);
  });

  test('fits a narrow screen', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await photograph('narrow');
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  });
});
