import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServerProcess } from '../support/server-process.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const EXAMPLES = readdirSync(`${ROOT}examples`).filter((name) => name.endsWith('.ts'));
const page = readFileSync(`${ROOT}docs/client.md`, 'utf8');

let server: ServerProcess;
beforeAll(async () => {
  server = await ServerProcess.create();
  await server.start();
});
afterAll(() => server.close());

describe.each(EXAMPLES)('examples/%s', (name) => {
  test('runs against a server with its defaults', async () => {
    const env = { PATH: process.env['PATH'] ?? '', SYNCLINE_URL: server.url };
    const { stderr } = await promisify(execFile)(process.execPath, [`${ROOT}examples/${name}`], { env, timeout: 25_000 });
    if (name === 'events.ts') expect(stderr).toContain('refused: row_missing');
    else expect(stderr).toBe('');
  });

  test('is shown in docs/client.md as it is', () => {
    const source = readFileSync(`${ROOT}examples/${name}`, 'utf8').replace("'../src/client/client.ts'", "'syncline/client'");
    expect(page.includes(`\`\`\`ts\n${source}\`\`\``)).toBe(true);
  });
});
