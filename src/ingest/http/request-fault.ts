import { type ErrorCode, SyncError } from '../../core/errors.ts';
import type { WebResponse } from '../web/engine.ts';

/** Where in a body something is wrong. */
export interface Where {
  /** The change, counted from 0. */
  readonly row?: number;
  /** The line of the body, counted from 1. */
  readonly line?: number;
  /** The column of the row. */
  readonly column?: string;
  /** How many changes of the request were taken nevertheless, those before this one. */
  readonly taken?: number;
}

/** Why a request is not taken. Its message says what to do. */
export class RequestFault extends Error {
  override readonly name = 'RequestFault';
  readonly status: number;
  readonly code: ErrorCode;
  readonly where: Where;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, message: string, more: { where?: Where; headers?: Readonly<Record<string, string>> } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.where = more.where ?? {};
    this.headers = more.headers ?? {};
  }
}

/** What a writer said of a change: a `TypeError` of the client names table and column. */
export function changeFault(error: unknown, where: Where): RequestFault {
  if (error instanceof RequestFault)
    return new RequestFault(error.status, error.code, error.message, { where: { ...where, ...error.where }, headers: error.headers });
  if (!(error instanceof TypeError)) return faultOf(error, where);
  const column = COLUMN.exec(error.message)?.[1];
  return new RequestFault(422, 'bad_change', error.message, { where: column === undefined ? where : { ...where, column } });
}

/** Anything that was thrown, as what the caller is told of it: of a bug, only that there was one. */
export function faultOf(error: unknown, where: Where = {}): RequestFault {
  if (error instanceof RequestFault) return error;
  if (!(error instanceof SyncError)) return new RequestFault(500, 'internal', 'the server failed to handle this; see its log');
  const { code, message } = error;
  const status = STATUS[code] ?? 503;
  return new RequestFault(status, code, message, { where, headers: status === 503 ? { 'retry-after': RETRY_AFTER_S } : {} });
}

/** A fault as `application/problem+json` (RFC 9457). */
export function problemOf({ status, code, message, where, headers }: RequestFault): WebResponse {
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
    body: JSON.stringify({ type: 'about:blank', title: TITLES[status] ?? 'Error', status, detail: message, code, ...where }),
  };
}

/** How the client names a column in what it refuses. */
const COLUMN = /^(?:column|row of table "[^"]*" has no column) "([^"]*)"/;
const RETRY_AFTER_S = '2';

/** What a writer refuses for other reasons than that it cannot be done now. */
const STATUS: Partial<Readonly<Record<ErrorCode, number>>> = {
  frame_too_large: 422,
  seq_content_mismatch: 422,
  stream_taken_over: 409,
  internal: 500,
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  411: 'Length Required',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};
