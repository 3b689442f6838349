import { STATUS_CODES } from 'node:http';
import type { WebResponse } from './engine.ts';

/** An answer of `application/problem+json` (RFC 9457) that needs no more than its status and a sentence. */
export function problem(status: number, detail: string, headers: Readonly<Record<string, string>> = {}): WebResponse {
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
    body: `${JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail })}\n`,
  };
}

/** The same as bytes, for a connection that no request was read from yet; it ends the connection. */
export function rawResponse({ status, headers = {}, body = '' }: WebResponse): Buffer {
  const bytes = Buffer.from(body);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${bytes.length}`,
    'connection: close',
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), bytes]);
}
