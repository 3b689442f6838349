import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleForBrowser } from '../../scripts/browser-bundle.ts';

/** The bundle of `entry` as text. */
export async function browserScript(entry: URL): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-bundle-'));
  try {
    const file = join(folder, 'bundle.js');
    await bundleForBrowser(entry.pathname, file);
    return readFileSync(file, 'utf8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
