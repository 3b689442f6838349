import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers `/health/primary` as a test tells it to, beside a node that takes connections whether it leads or not. */
export interface HealthStub {
  readonly port: number;
  /** Whether it answers 200; otherwise 503. */
  isPrimary: boolean;
  close(): Promise<void>;
}

export async function startHealthStub(isPrimary: boolean): Promise<HealthStub> {
  const stub = { isPrimary };
  const server = createServer((request, response) => {
    response.statusCode = request.url !== '/health/primary' ? 404 : stub.isPrimary ? 200 : 503;
    response.end();
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return Object.assign(stub, {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  });
}
