import { ERRORS } from '../../core/errors.ts';
import { OPS } from '../../core/change.ts';

export interface Described {
  readonly version: string;
  readonly maxBodyBytes: number;
}

/** The HTTP API as an OpenAPI 3.1 document. A test holds it against what is really answered. */
export function openApi({ version, maxBodyBytes }: Described): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Syncline',
      version,
      description: 'Takes row changes, stores them, and applies them to a database in order and exactly once.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths: {
      '/api/v1': {
        get: { summary: 'Where this document is', security: [], responses: { 200: answer('Pointer', 'Where this document is') } },
      },
      '/api/v1/openapi.json': {
        get: { summary: 'This document', security: [], responses: { 200: answer('Document', 'This document') } },
      },
      '/api/v1/changes': {
        post: {
          summary: 'Sends changes',
          description: `One change, an array of them, or NDJSON: one to a line, of any length. Other bodies may have ${maxBodyBytes} bytes. gzip and zstd are taken.`,
          parameters: [ack, idempotencyKey],
          requestBody: body({ 'application/json': oneOrMany('Change'), 'application/x-ndjson': text, 'application/jsonl': text }),
          responses: takeResponses,
        },
      },
      '/api/v1/sync-data': {
        post: {
          summary: 'Sends changes in the form that PHP sites post',
          description: 'One change or a list of them, as JSON or as a form; the values of a form are text.',
          parameters: [ack, idempotencyKey],
          requestBody: body({
            'application/json': oneOrMany('SyncData'),
            'application/x-www-form-urlencoded': { schema: ref('SyncData') },
            'application/x-ndjson': text,
          }),
          responses: takeResponses,
        },
      },
    },
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'A token of a producer.' } },
      schemas,
    },
  };
}

const ref = (schema: string) => ({ $ref: `#/components/schemas/${schema}` });
const answer = (schema: string, description: string) => ({ description, content: { 'application/json': { schema: ref(schema) } } });
const problem = (description: string, headers: object = {}) => ({
  description,
  headers,
  content: { 'application/problem+json': { schema: ref('Problem') } },
});
const body = (content: object) => ({ required: true, content });
const oneOrMany = (schema: string) => ({ schema: { anyOf: [ref(schema), { type: 'array', items: ref(schema) }] } });
const text = { schema: { type: 'string', description: 'One JSON object to a line.' } };
const retryAfter = { 'Retry-After': { description: 'Seconds.', schema: { type: 'string' } } };

const ack = {
  name: 'ack',
  in: 'query',
  description: '`stored`: the queue has the changes, which will be applied. `applied`: they are in the database.',
  schema: { type: 'string', enum: ['stored', 'applied'], default: 'stored' },
};

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'Makes a repetition of the request harmless: its changes are applied once, whatever happened to the answer.',
  schema: { type: 'string', pattern: '^[!-~]{8,200}$' },
};

const takeResponses = {
  200: answer('Applied', 'The changes are in the database, but for those that are listed as rejected'),
  202: answer('Stored', 'The changes are in the queue'),
  400: problem('The body is not what its content type says, or a parameter or header makes no sense'),
  401: problem('No token, or one that is not known', { 'WWW-Authenticate': { schema: { type: 'string' } } }),
  403: problem('A web page of this origin may not send, or the producer may not do this with this table'),
  405: problem('Another method', { Allow: { schema: { type: 'string' } } }),
  408: problem('The body came too slowly'),
  409: problem('Another request with this Idempotency-Key is under way'),
  411: problem('There is no body'),
  413: problem('The body is too large, or expands too far'),
  415: problem('A content type or encoding that is not taken'),
  422: problem('A change cannot be sent, or the Idempotency-Key was used for other changes'),
  429: problem('The producer has too many requests under way', retryAfter),
  500: problem('A fault of the server; see its log'),
  503: problem('Not now: the queue takes nothing, the node is stopping, or it takes too long', retryAfter),
};

const row = { type: 'object', description: 'Columns and their values.', additionalProperties: true };
const columns = { type: 'array', items: { type: 'string' }, minItems: 1, uniqueItems: true };
const count = { type: 'integer', minimum: 0 };

const schemas = {
  Change: {
    type: 'object',
    properties: {
      table: { type: 'string', minLength: 1 },
      op: { type: 'string', enum: [...OPS], default: 'upsert' },
      row,
      key: {
        description: 'Key columns, for a table that the server does not know yet; or key columns with their values.',
        anyOf: [columns, row, { type: 'null' }],
      },
    },
    required: ['table'],
    additionalProperties: false,
  },
  SyncData: {
    type: 'object',
    properties: {
      action: { type: 'string', enum: ['create', 'update', 'delete'] },
      table_name: { type: 'string', minLength: 1 },
      data: row,
      key: { anyOf: [columns, { type: 'null' }] },
    },
    required: ['action', 'table_name', 'data'],
    additionalProperties: false,
  },
  Stored: {
    type: 'object',
    properties: { ack: { type: 'string', enum: ['stored'] }, changes: count },
    required: ['ack', 'changes'],
    additionalProperties: false,
  },
  Applied: {
    type: 'object',
    properties: {
      ack: { type: 'string', enum: ['applied'] },
      changes: count,
      applied: count,
      rejected: count,
      rejections: { type: 'array', description: 'The first 1,000 that were refused for good.', items: ref('Rejection') },
    },
    required: ['ack', 'changes', 'applied', 'rejected', 'rejections'],
    additionalProperties: false,
  },
  Rejection: {
    type: 'object',
    properties: {
      index: { ...count, description: 'Place of the change in the request, from 0.' },
      code: { type: 'string' },
      message: { type: 'string' },
    },
    required: ['index', 'code', 'message'],
    additionalProperties: false,
  },
  Problem: {
    type: 'object',
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer', minimum: 400, maximum: 599 },
      detail: { type: 'string' },
      code: { type: 'string', enum: Object.keys(ERRORS) },
      row: { ...count, description: 'The change that is wrong, from 0.' },
      line: { type: 'integer', minimum: 1, description: 'The line of the body.' },
      column: { type: 'string', description: 'The column of the row.' },
      taken: { ...count, description: 'Of NDJSON: how many changes before were taken nevertheless.' },
    },
    required: ['type', 'title', 'status', 'detail', 'code'],
    additionalProperties: false,
  },
  Pointer: {
    type: 'object',
    properties: { name: { type: 'string' }, openapi: { type: 'string' } },
    required: ['name', 'openapi'],
    additionalProperties: false,
  },
  Document: { type: 'object', additionalProperties: true },
};
