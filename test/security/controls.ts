import { mariadbAvailable } from '../support/mariadb-server.ts';
import { mayBecomeNobody } from '../support/nobody.ts';
import { findOldNode } from '../support/old-node.ts';
import type { SourcePatch } from '../support/source-patches.ts';
import { systemdAvailable } from '../support/systemd.ts';

/** A control of `docs/security.md`, how it is switched off, and the test that must fail then. */
export interface Control {
  /** What the control does. */
  readonly name: string;
  readonly patches: readonly Omit<SourcePatch, 'name'>[];
  /** Other processes read what is patched, so that a whole copy of the repository is. Otherwise the test loads the source itself. */
  readonly inCopy?: true;
  /** Why the test cannot run on this machine. */
  readonly missing?: string | undefined;
  readonly test: {
    readonly file: string;
    readonly name: string;
    /** Where its name stands, if not in `file`. */ readonly contract?: string;
  };
}

const HARDENED_TEST = 'test/security/hardened-process.test.ts';
const SESSION = 'src/ingest/session.ts';
const SESSIONS = 'src/ingest/sessions.ts';
const SESSION_TEST = 'src/ingest/session.test.ts';
const LIMITS_TEST = 'src/ingest/limits.test.ts';

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
    patches: [{ file: 'src/ingest/producers.ts', find: "if ('reason' in verdict) await refused(verdict);", replace: '' }],
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
  {
    name: 'tokens are compared whole',
    patches: [{ file: 'src/ingest/producers.ts', find: 'return isSame ? candidate : undefined;', replace: 'return candidate;' }],
    test: { file: 'src/ingest/producers.test.ts', name: 'half of a digest is not enough' },
  },
  {
    name: 'failures of one address make answers later',
    patches: [{ file: 'src/ingest/failed-attempts.ts', find: '* 2 ** doublings;', replace: ';' }],
    test: {
      file: 'src/ingest/failed-attempts.test.ts',
      name: 'an answer waits, twice as long after ten failures of one address, and four seconds at most',
    },
  },
  {
    name: 'so many late answers wait, and no more',
    patches: [
      {
        file: 'src/ingest/failed-attempts.ts',
        find: 'if (this.#waitingCount >= MAX_WAITING) firstOf(firstOf(this.#bySize.at(-1)!)!)!();',
        replace: '',
      },
    ],
    test: { file: 'src/ingest/failed-attempts.test.ts', name: 'no more than 512 answers wait: who has waited longest is answered early' },
  },
  {
    name: 'tokens expire',
    patches: [
      {
        file: 'src/node/gatekeeper.ts',
        find: 'expires === undefined || Date.parse(expires) > nowMs',
        replace: "expires !== '' || nowMs > 0",
      },
    ],
    test: { file: 'src/node/gatekeeper.test.ts', name: 'holds tokens that expire by themselves' },
  },
  {
    name: 'the token file is looked at',
    patches: [{ file: 'src/node/gatekeeper.ts', find: '    this.#changed?.(before, this.#told);', replace: '' }],
    test: { file: 'src/node/gatekeeper.test.ts', name: 'is read at the start, and again when it changed' },
  },
  {
    name: "the token file is its owner's alone",
    patches: [{ file: 'src/config/tokens-file.ts', find: "openSync(draft, 'wx', 0o600)", replace: "openSync(draft, 'w', 0o644)" }],
    test: { file: 'src/config/tokens-file.test.ts', name: 'what is written is read again, by its owner alone' },
  },
  {
    name: 'rules hold at the door',
    patches: [
      { file: 'src/protocol/scan.ts', find: 'if (this.#access !== undefined && !this.#allowsSome)', replace: 'if (this.#access === null)' },
    ],
    test: {
      file: 'src/ingest/access.test.ts',
      name: 'has what it may do stored as it was sent, and of what it may not do only that it was refused',
    },
  },
  {
    name: 'rules hold when changes are applied',
    patches: [
      {
        file: 'src/apply/resolve.ts',
        find: 'access?.faultOf(group.table, group.op, group.keyCount, group.columns) ??',
        replace: 'undefined ??',
      },
    ],
    test: { file: 'src/apply/access.test.ts', name: 'are dead letters, and the others of their batch are applied' },
  },
  {
    name: 'what is not allowed makes no table',
    patches: [
      {
        file: 'src/apply/partition-slice.ts',
        find: 'content.batch.groups.filter((group) => isAllowed(access, group))',
        replace: 'content.batch.groups',
      },
    ],
    test: { file: 'src/apply/access.test.ts', name: 'say the same whether their table exists, and make none where the schema evolves' },
  },
  {
    name: 'whoever is not listed may do nothing',
    patches: [
      {
        file: 'src/core/access.ts',
        find: 'known.has(producer) ? known.get(producer) : new Access(producer, [])',
        replace: 'known.get(producer)',
      },
    ],
    test: { file: 'src/apply/access.test.ts', name: 'are all that a producer sent who is not among those that are known' },
  },
  {
    name: 'nobody hears of tables that it may not write',
    patches: [
      {
        file: 'src/ingest/opening.ts',
        find: 'return access === undefined ? tables :',
        replace: 'return access === undefined || tables.size > 0 ? tables :',
      },
    ],
    test: { file: 'src/ingest/access.test.ts', name: 'hears only of the tables that it may write' },
  },
  {
    name: 'HTTP refuses what rules do not allow',
    patches: [
      {
        file: 'src/ingest/http/http-api.ts',
        find: 'if (fault !== undefined) throw new RequestFault(403',
        replace: 'if (fault === null) throw new RequestFault(403',
      },
    ],
    test: { file: 'src/ingest/http/http-api.test.ts', name: 'a table of others' },
  },
  {
    name: 'a producer comes from its addresses',
    patches: [
      {
        file: 'src/ingest/producers.ts',
        find: 'if (this.#listed?.get(producer)?.includes(address) === false)',
        replace: "if (this.#listed?.get(producer)?.includes(address) === undefined && address === '')",
      },
    ],
    test: {
      file: 'src/ingest/producers.test.ts',
      name: 'a producer comes from those that it may come from, and the answer elsewhere is that to a wrong token',
    },
  },
  {
    name: 'addresses of the server hold for everybody',
    patches: [
      {
        file: 'src/ingest/producers.ts',
        find: 'if (this.#addresses?.includes(address) === false) return',
        replace: "if (address === '?') return",
      },
    ],
    test: {
      file: 'src/ingest/producers.test.ts',
      name: 'those of the whole server hold for everybody, with a token or where none is asked for',
    },
  },
  {
    name: "the certificate of one is no other's",
    patches: [
      {
        file: 'src/ingest/producers.ts',
        find: 'if (certified.size > 1 || (byCertificate !== undefined && byCertificate !== producer))',
        replace: 'if (certified.size > 9)',
      },
    ],
    test: { file: 'src/ingest/producers.test.ts', name: 'whoever has the certificate of one producer cannot be another' },
  },
  {
    name: 'pages of other origins do not connect',
    patches: [
      {
        file: 'src/ingest/web/websocket.ts',
        find: 'if (origin === undefined || allowed.has(origin)) return undefined;',
        replace: 'if (origin !== null) return undefined;',
      },
    ],
    test: {
      file: 'test/contract/listener.test.ts',
      name: 'from a page is taken in if the page is one of those that may',
      contract: 'test/contract/web-engine.contract.ts',
    },
  },
  {
    name: 'requests under other names are refused',
    patches: [
      { file: 'src/ingest/web/websocket.ts', find: 'return allowed.has(host) ? undefined', replace: 'return allowed.size > 0 ? undefined' },
    ],
    test: {
      file: 'test/contract/listener.test.ts',
      name: 'under another name than those of this server is refused, and so are requests',
      contract: 'test/contract/web-engine.contract.ts',
    },
  },
  {
    name: 'pages of other origins do not post',
    patches: [
      {
        file: 'src/ingest/http/http-api.ts',
        find: "if (method === 'POST' && origin !== undefined && !isListed)",
        replace: "if (method === 'NONE')",
      },
    ],
    test: { file: 'src/ingest/http/http-api.test.ts', name: 'a page of another origin' },
  },
  {
    name: 'a body expands so far and no further',
    patches: [
      {
        file: 'src/ingest/http/body.ts',
        find: 'if (bytes > FREE_EXPANSION_BYTES && bytes > sentBytes * MAX_EXPANSION)',
        replace: 'if (bytes < 0)',
      },
    ],
    test: { file: 'src/ingest/http/http-api.test.ts', name: 'a gzip bomb of short lines' },
  },
  {
    name: 'a datagram needs a token',
    patches: [
      {
        file: 'src/ingest/datagrams.ts',
        find: "if (producer === undefined) return 'wrong_token';",
        replace: "if (producer === null) return 'wrong_token';",
      },
    ],
    test: { file: 'src/ingest/datagrams.test.ts', name: 'is dropped and counted when its token is nobody' },
  },
  {
    name: 'datagrams of one address have a rate',
    patches: [{ file: 'src/ingest/datagrams.ts', find: "if (!this.#addresses.take(address, nowMs)) return 'address_rate';", replace: '' }],
    test: { file: 'src/ingest/datagrams.test.ts', name: 'hold one address to its own, and no other to that' },
  },
  {
    name: 'a producer that sends too fast is not read',
    patches: [{ file: 'src/ingest/pace.ts', find: "    this.#intake.hold('pace');\n", replace: '' }],
    test: { file: 'src/ingest/pace.test.ts', name: 'is not read, and told so by CREDIT; everything arrives in the end, at its rate' },
  },
  {
    name: 'a certificate is asked for where one is required',
    patches: [{ file: 'src/ingest/tls-terminator.ts', find: 'if (socket.authorized) return', replace: 'if (true) return' }],
    test: { file: 'src/ingest/tcp-tls.test.ts', name: 'that have expired' },
  },
  {
    name: 'every TLS connection shows its certificate',
    patches: [{ file: 'src/ingest/tls-terminator.ts', find: 'SSL_OP_NO_TICKET', replace: 'SSL_OP_NO_COMPRESSION' }],
    test: { file: 'src/ingest/tcp-tls.test.ts', name: 'are shown at every connection: no session is resumed' },
  },
  {
    name: 'TLS is as new as it was asked for',
    patches: [
      { file: 'src/ingest/tls-terminator.ts', find: '{ cert, key, minVersion, secureOptions:', replace: '{ cert, key, secureOptions:' },
    ],
    test: { file: 'src/ingest/tcp-tls.test.ts', name: 'cannot be made with TLS 1.1, nor with 1.2 where 1.3 is asked for' },
  },
  {
    name: 'little is read before HELLO is accepted',
    patches: [{ file: SESSION, find: 'clock, PRE_AUTH_FRAME_BYTES,', replace: 'clock, settings.maxFrameBytes + PRE_AUTH_FRAME_BYTES,' }],
    test: { file: SESSION_TEST, name: 'a HELLO beyond 4 KiB is refused before it is read' },
  },
  {
    name: 'and little of a message of WebSocket',
    patches: [
      {
        file: 'src/ingest/web/node-connection.ts',
        find: 'this.unfinishedBytes > MAX_STRANGE_BYTES',
        replace: 'this.unfinishedBytes > Infinity',
      },
    ],
    test: { file: 'src/ingest/web/node-engine.test.ts', name: 'a message of whoever is not let in yet may be no longer than a HELLO' },
  },
  {
    name: 'one address has so many connections',
    patches: [{ file: SESSIONS, find: 'count.connections >= maxConnectionsPerAddress', replace: 'count.connections >= Infinity' }],
    test: { file: LIMITS_TEST, name: 'of one address, which do not bother others' },
  },
  {
    name: 'also such as are no sessions',
    patches: [
      {
        file: 'src/ingest/web/node-engine.ts',
        find: 'count > this.maxConnectionsPerAddress + ADDRESS_RESERVE',
        replace: 'count > Infinity',
      },
    ],
    test: { file: 'src/ingest/web/node-engine.test.ts', name: 'an address that has too many connections is told so' },
  },
  {
    name: 'a network of IPv6 is one address',
    patches: [{ file: 'src/ingest/address-ranges.ts', find: "if (!address.includes(':')) return address;", replace: 'return address;' }],
    test: { file: LIMITS_TEST, name: 'of one IPv6 network, whose addresses are all one customer' },
  },
  {
    name: 'a peer that asks without end is not read',
    patches: [{ file: 'src/ingest/answers.ts', find: '++this.#count < MAX_PINGS', replace: '++this.#count < Infinity' }],
    test: { file: LIMITS_TEST, name: 'is asked 50 times a second at most, also where it reads the answers' },
  },
  {
    name: 'PROXY headers are believed from balancers alone',
    patches: [
      { file: 'src/ingest/introductions.ts', find: 'this.#balancers?.includes(address)', replace: 'this.#balancers !== undefined' },
    ],
    test: { file: 'src/ingest/tcp.test.ts', name: 'a header from anybody else is a part of what he sends' },
  },
  {
    name: 'health tells nothing but its status',
    patches: [
      {
        file: 'src/admin/admin.ts',
        find: "json(503, { status: 'not ready' }))",
        replace: "json(503, { status: 'not ready', obstacles: obstacles(state) }))",
      },
    ],
    test: { file: 'src/admin/admin.test.ts', name: 'and says no more than that' },
  },
  {
    name: 'a token that is taken away ends a request whose body still comes',
    patches: [{ file: 'src/ingest/http/http-api.ts', find: '!== producer) throw notLetIn(token)', replace: '=== undefined) void token' }],
    test: { file: 'src/node/change-writers.test.ts', name: 'a token that is taken away ends a request that is still coming' },
  },
  {
    name: 'a reload opens a server to nobody who was asked',
    patches: [{ file: 'src/config/reload.ts', find: ' && loaded.tokensFile === undefined', replace: '' }],
    test: { file: 'src/config/reload.test.ts', name: 'but not on the way to a file of tokens' },
  },
  {
    name: 'names from the wire never are SQL',
    patches: [{ file: 'src/sinks/mysql/sql.ts', find: "name.replaceAll('`', '``')", replace: 'name' }],
    test: { file: 'test/integration/mysql-writing.test.ts', name: 'names and values that look like SQL are only names and values' },
  },
  {
    name: 'the database user needs no right to make tables that are there',
    patches: [{ file: 'src/sinks/mysql/bookkeeping.ts', find: 'if (engine === undefined) await', replace: "if (engine !== '') await" }],
    missing: mariadbAvailable() ? undefined : 'mariadbd is not installed',
    test: { file: 'test/integration/mysql-schema.test.ts', name: 'are asked for where they may not be made' },
  },
  {
    name: 'no text becomes code',
    patches: [{ file: 'bin/syncline.js', find: "  '--disallow-code-generation-from-strings',\n", replace: '' }],
    inCopy: true,
    test: { file: HARDENED_TEST, name: 'with embedded queue and sink, and as the process that was started' },
  },
  {
    name: 'no name reaches a prototype',
    patches: [{ file: 'bin/syncline.js', find: "  '--disable-proto=throw',\n", replace: '' }],
    inCopy: true,
    test: { file: HARDENED_TEST, name: 'with embedded queue and sink, and as the process that was started' },
  },
  {
    name: 'an old Node.js is refused',
    patches: [{ file: 'bin/syncline.js', find: 'const WANTED = [24, 15];', replace: 'const WANTED = [12, 0];' }],
    inCopy: true,
    missing: findOldNode() === undefined ? 'there is no old Node.js' : undefined,
    test: { file: 'test/integration/bin.test.ts', name: 'without a pinned one says what is missing' },
  },
  {
    name: 'the unit leaves little',
    patches: [{ file: 'deploy/systemd/syncline.service', find: 'CapabilityBoundingSet=\n', replace: '' }],
    inCopy: true,
    missing: systemdAvailable() ? undefined : 'there is no systemd',
    test: { file: 'test/integration/deploy.test.ts', name: 'the unit leaves little to whoever breaks in' },
  },
  {
    name: 'it needs no rights',
    patches: [{ file: 'src/main.ts', find: 'const stop =', replace: 'process.initgroups?.(0, 0);\nconst stop =' }],
    inCopy: true,
    missing: mayBecomeNobody() ? undefined : 'it needs root and setpriv',
    test: { file: HARDENED_TEST, name: 'it needs no rights: as nobody' },
  },
];
