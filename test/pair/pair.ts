/**
 * `npm run pair`. What it starts is in a process group of its own, so that Ctrl-C, which a terminal sends to all that run
 * in it, ends the show and not the database beneath it.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SHOW = fileURLToPath(new URL('show.ts', import.meta.url));

const child = fork(SHOW, process.argv.slice(2), { detached: true });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void child.kill(signal));
const [code] = (await once(child, 'exit')) as [number | null];
process.exitCode = code ?? 1;
