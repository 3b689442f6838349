/** Writes the pages that come from the code. `test/tidy/generated-docs.test.ts` checks that they are up to date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { jsonSchema } from '../src/config/catalogue.ts';
import { configurationPage } from '../src/config/document.ts';
import { ERRORS, type ErrorKind } from '../src/core/errors.ts';
import { PARTS } from '../test/prove/parts.ts';
import { readPublished } from '../test/prove/published.ts';
import { withFigures } from '../test/prove/report.ts';
import { PLANTED_BUGS } from '../test/simulation/planted-bugs.ts';

const ROOT = new URL('..', import.meta.url);

/** Every file that is generated, or in part: its path in the repository and what it holds. */
export function generatedDocs(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/configuration.md', configurationPage()],
    ['docs/syncline.schema.json', `${JSON.stringify(jsonSchema(), null, 2)}\n`],
    ['docs/errors.md', errorsPage()],
    ['docs/planted-bugs.md', plantedBugsPage()],
    ['docs/reliability.md', reliabilityPage()],
  ]);
}

const KINDS: Readonly<Record<ErrorKind, string>> = {
  startup: 'The configuration and the world disagree. The process says so and ends with exit code 1.',
  connection: 'The peer broke the protocol or may not go on. Sent as ERROR, then the connection closes; nobody else is touched.',
  request: 'An HTTP request that cannot be taken as it is. Answered with a problem (RFC 9457) that says why; see [http.md](http.md).',
  transient:
    'The world is in the way. What was begun is rolled back and tried again, with growing pauses, for ever; it never becomes a dead letter.',
  blocked:
    'A change that a change in another partition may still make possible. Tried again until every other partition has passed it; then it is permanent.',
  permanent: 'This change cannot be applied as it is. It becomes a dead letter, is reported with REJECTED, and the other changes go on.',
};

function errorsPage(): string {
  const sections = (Object.keys(KINDS) as ErrorKind[]).map((kind) => {
    const rows = Object.entries(ERRORS)
      .filter(([, error]) => error.kind === kind)
      .map(([code, { meaning, remedy }]) => `| \`${code}\` | ${meaning} | ${remedy} |`);
    return `## ${kind}\n\n${KINDS[kind]}\n\n| code | what it means | what to do |\n|---|---|---|\n${rows.join('\n')}\n`;
  });
  return `<!-- Generated from src/core/errors.ts by scripts/generate-docs.ts; edit there. -->
# Errors

Every error has a code, a stable string that appears in logs, on the wire, in dead letters and in what the commands print. Its
kind says what Syncline does about it.

${sections.join('\n')}`;
}

function plantedBugsPage(): string {
  const seeds = JSON.parse(readFileSync(new URL('test/simulation/planted-bugs.json', ROOT), 'utf8')) as Record<string, number>;
  const rows = PLANTED_BUGS.map(({ name, patches, on }) => {
    const files = [...new Set(patches.map(({ file }) => `\`${file}\``))].join(', ');
    return `| ${name} | ${files} | ${seeds[name] ?? 'not found'}${on === 'cluster' ? ' *' : ''} |`;
  });
  const found = Object.values(seeds).sort((a, b) => a - b);
  return `<!-- Generated from test/simulation/planted-bugs.ts and .json by scripts/generate-docs.ts; edit there. -->
# Planted bugs

A test that never fails proves nothing. So mistakes that somebody could make are planted in the source, one at a time and only while a
simulation runs, and the simulator has to find them ([reliability.md](reliability.md) says how it works). The last column is the first seed, counted from 1,
whose history broke a promise: that many histories it took. The median is ${found[found.length >> 1]}. Mistakes that show only on a Redis Cluster are looked for in
histories that all run on one, marked with *.

Find them afresh with \`npm run find-bugs -- --seeds 1000\`, one of them with \`-- --bug "no floor rule"\`.

| mistake | where | histories until it showed |
|---|---|---|
${rows.join('\n')}
`;
}

/** Written by hand, but for its figures. */
function reliabilityPage(): string {
  const page = readFileSync(new URL('docs/reliability.md', ROOT), 'utf8');
  return withFigures(page, readPublished(new URL('docs/reliability.json', ROOT).pathname), PARTS);
}

if (import.meta.main) {
  for (const [path, text] of generatedDocs()) writeFileSync(new URL(path, ROOT), text);
}
