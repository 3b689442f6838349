import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freemem } from 'node:os';

const GIBIBYTE = 1024 ** 3;
const PAGE_BYTES = 4096;

/**
 * Writes to `bytes` of memory and gives it back, or to half of what is free where that is less, in whole GiB. A virtual machine
 * then has it when it is needed: what its host must give it first costs several times as much to touch, and whoever is measured
 * first would pay that for all who come after. A machine of its own loses only the time.
 * @throws {Error} when the process that does it fails.
 */
export async function backMemory(bytes: number): Promise<void> {
  const blocks = Math.round(Math.min(bytes, freemem() / 2) / GIBIBYTE);
  const script = `const kept = [];
    for (let i = 0; i < ${blocks}; i++) {
      const block = Buffer.allocUnsafeSlow(${GIBIBYTE});
      for (let at = 0; at < block.length; at += ${PAGE_BYTES}) block[at] = 1;
      kept.push(block);
    }`;
  const [code] = (await once(spawn(process.execPath, ['-e', script], { stdio: 'ignore' }), 'exit')) as [number | null];
  if (code !== 0) throw new Error(`a process that writes to ${blocks} GiB of memory ended with code ${code}`);
}
