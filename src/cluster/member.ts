import type { ListedMember } from '../queue/queue.ts';

/** How the nodes of an installation share its work. */
export type ClusterMode = 'standalone' | 'standby' | 'active';

/** What a node tells the others about itself. */
export interface About {
  readonly mode: ClusterMode;
  readonly version: string;
  /** `ready` may be given partitions; `starting` cannot use the sink yet; `leaving` is about to end. */
  readonly state: 'starting' | 'ready' | 'leaving';
  /** Where its admin server listens, `host:port`; empty until it does. */
  readonly admin: string;
}

/** A node as the others see it. */
export interface ClusterMember extends ListedMember {
  readonly mode: string;
  readonly version: string;
  readonly state: string;
  readonly admin: string;
}

export function encodeAbout({ mode, version, state, admin }: About): string {
  return [mode, version, state, admin].join(' ');
}

export function memberOf(listed: ListedMember): ClusterMember {
  const [mode = '', version = '', state = '', admin = ''] = listed.about.split(' ');
  return { ...listed, mode, version, state, admin };
}

/** The holder of a lease as it is recorded: its incarnation, and its name for people. */
export function holderText(name: string, incarnation: string): string {
  return `${incarnation} ${name}`;
}

/** Takes a {@link holderText} apart; whoever is alone has no incarnation. */
export function parseHolder(text: string): { readonly name: string; readonly incarnation: string | undefined } {
  const match = /^([0-9a-f]{32}) (.*)$/s.exec(text);
  return match === null ? { name: text, incarnation: undefined } : { name: match[2] as string, incarnation: match[1] };
}

export function majorOf(version: string): string {
  return version.split('.', 1)[0] as string;
}
