import type { SourcePatch } from '../support/source-patches.ts';

/** A control of `docs/security.md`, how it is switched off, and the test that must fail then. */
export interface Control {
  /** What the control does. */
  readonly name: string;
  readonly patches: readonly Omit<SourcePatch, 'name'>[];
  /** Tests that load the patched source themselves, in no other process. */
  readonly test: { readonly file: string; readonly name: string };
}

const SESSION = 'src/ingest/session.ts';
const SESSIONS = 'src/ingest/sessions.ts';
const SESSION_TEST = 'src/ingest/session.test.ts';

export const CONTROLS: readonly Control[] = [
  {
    name: 'no door is open to others without a token',
    patches: [{ file: 'src/core/bind.ts', find: "asks === 'nothing' && !isLoopback(host) ?", replace: 'host === undefined ?' }],
    test: { file: 'src/core/bind.test.ts', name: '"0.0.0.0" needs a token or a certificate' },
  },
  {
    name: 'a token that is taken away ends the sessions that came with it',
    patches: [{ file: SESSIONS, find: 'for (const session of [...this.#all]) session.reauthenticate();', replace: '' }],
    test: { file: 'src/ingest/reload.test.ts', name: 'of a token that is gone end, and those of others notice nothing' },
  },
  {
    name: 'a connection has a deadline to say who it is',
    patches: [{ file: SESSION, find: 'this.#setDeadline(authTimeoutMs, () =>', replace: 'this.#setDeadline(authTimeoutMs * 1000, () =>' }],
    test: { file: SESSION_TEST, name: 'a connection that says nothing is closed after the time to authenticate' },
  },
  {
    name: 'few connections of one address may be waiting to say who they are',
    patches: [
      {
        file: SESSIONS,
        find: 'count.unauthenticated.size >= MAX_UNAUTHENTICATED_PER_ADDRESS',
        replace: 'count.unauthenticated.size >= Infinity',
      },
    ],
    test: { file: 'src/ingest/limits.test.ts', name: 'of one address before its clients have shown a token' },
  },
  {
    name: 'a wrong token is answered late',
    patches: [{ file: SESSION, find: 'this.#setDeadline(delayMs, () => this.fail(', replace: 'this.#setDeadline(0, () => this.fail(' }],
    test: { file: SESSION_TEST, name: 'a wrong token is refused, and not at once' },
  },
  {
    name: 'metrics and status ask for their token',
    patches: [{ file: 'src/admin/admin.ts', find: 'if (token === undefined || sameText(', replace: 'if (token !== null || sameText(' }],
    test: { file: 'src/admin/admin.test.ts', name: 'what is guarded' },
  },
  {
    name: 'passwords in URLs are blanked in the log',
    patches: [{ file: 'src/admin/log-line.ts', find: "'$1:***@')", replace: "'$&')" }],
    test: { file: 'src/admin/log.test.ts', name: 'blanks the secret in' },
  },
  {
    name: 'texts of others cannot forge a line of the log',
    patches: [{ file: 'src/core/visible-text.ts', find: '/[\\p{Cc}\\p{Cf}\\p{Cs}\\u2028\\u2029]/gu', replace: '/(?!)/gu' }],
    test: { file: 'src/admin/log.test.ts', name: 'values cannot forge lines or steer a terminal' },
  },
  {
    name: 'the driver of the database turns no text into code',
    patches: [{ file: 'src/sinks/mysql/address.ts', find: 'disableEval: true,', replace: 'disableEval: false,' }],
    test: {
      file: 'src/sinks/mysql/address.test.ts',
      name: 'becomes options that neither read local files nor run several statements nor evaluate code',
    },
  },
  {
    name: 'a package with an install script is not taken unseen',
    patches: [{ file: 'scripts/lock-faults.ts', find: 'entry.hasInstallScript === true &&', replace: 'path === "" &&' }],
    test: { file: 'test/tidy/supply-chain.test.ts', name: 'a script that nobody allowed or forbade is a fault' },
  },
  {
    name: 'a changed line breaks the chain of the audit log',
    patches: [{ file: 'src/audit/chain.ts', find: 'link.hash === hashOf(previous.hash, text)', replace: 'previous.hash !== text' }],
    test: { file: 'src/audit/audit-log.test.ts', name: 'a line that was changed' },
  },
  {
    name: 'floods are gathered before they reach the audit log',
    patches: [{ file: 'src/audit/audit-log.ts', find: 'if (FLOODS.has(event)) gathering', replace: 'if (count < 0) gathering' }],
    test: { file: 'src/audit/audit-log.test.ts', name: 'of wrong tokens for a minute leaves a file of a few kilobytes' },
  },
  {
    name: 'a stream belongs to one producer',
    patches: [{ file: SESSIONS, find: 'if (other !== undefined && other.producer !== producer) {', replace: 'if (other === null) {' }],
    test: {
      file: SESSION_TEST,
      name: 'a stream of another producer is refused: known from the sink, from the queue, or from an open session',
    },
  },
];
