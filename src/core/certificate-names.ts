/** The kinds of names that are told, as Node.js writes them and as they are written here. */
const KINDS: Readonly<Record<string, string>> = { DNS: 'DNS', 'IP Address': 'IP', URI: 'URI', email: 'email' };

/**
 * The names that a certificate is for, from its subject alternative name as `node:crypto` and `node:tls` give it:
 * `DNS:shop.example` and `IP:10.0.0.5` (in lower case), `URI:spiffe://example/shop`, `email:ops@shop.example`. The common name
 * does not count. A name that Node.js had to quote, because it holds what separates names, is left out: nobody has such a
 * name but who wants to pass for another.
 */
export function certificateNames(subjectAltName: string | undefined): readonly string[] {
  return splitNames(subjectAltName ?? '').flatMap((written) => {
    const [, kind = '', name = ''] = /^([A-Za-z ]+):([^"]+)$/.exec(written) ?? [];
    const known = KINDS[kind];
    if (known === undefined) return [];
    return [`${known}:${known === 'DNS' || known === 'IP' ? name.toLowerCase() : name}`];
  });
}

/** At the commas that are not within quotes. */
function splitNames(text: string): string[] {
  return text.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g)?.map((part) => part.trim()) ?? [];
}
