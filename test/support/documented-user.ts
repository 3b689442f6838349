import { readFileSync } from 'node:fs';

/** The arguments of ACL SETUSER for the smallest user that `docs/queue.md` names, with what it adds for a kind of Redis. */
export function documentedUser(password: string, kind: 'sentinel' | 'cluster'): string[] {
  const page = readFileSync(new URL('../../docs/queue.md', import.meta.url), 'utf8');
  const user = /^user syncline on [^`]*/m.exec(page)?.[0] ?? '';
  const added = (when: string) => new RegExp(`${when},? add \`([^\`]+)\``).exec(page)?.[1] ?? '';
  const more = [added(`[Ww]ith ${kind === 'sentinel' ? 'Sentinel' : 'a cluster'}`), added('with `queue.replicas`')];
  if (user === '' || more.includes('')) throw new Error('docs/queue.md does not say what the user needs');
  return [...user.replace('>PASSWORD', `>${password}`).trim().split(/\s+/).slice(2), ...more.join(' ').split(' ')];
}
