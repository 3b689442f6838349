import { isIP } from 'node:net';
import { ClientProcess } from './client-process.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { Station } from './faults.ts';
import type { ClientHistory } from './history.ts';
import { withPatience } from './patience.ts';
import type { ServerAddress } from './probe.ts';
import type { TableNames } from './tables.ts';
import { CHANGES_PER_STEP } from './workload.ts';

export interface CrewOptions {
  readonly server: ServerAddress;
  readonly clients: number;
  readonly changesPerSecond: number;
  readonly seed: number;
  readonly tables: TableNames;
  readonly folder: string;
  /** How long nothing may be applied. */
  readonly patienceMs: number;
  /** Why waiting for the server is in vain, if so. */
  readonly trouble: () => string | undefined;
}

const DEFAULT_PORT = 9501;

/** The clients of a run, each with a way of its own to the server. */
export class Crew {
  readonly stations: readonly Station[];
  readonly #options: CrewOptions;

  private constructor(stations: readonly Station[], options: CrewOptions) {
    this.stations = stations;
    this.#options = options;
  }

  /** Starts the clients; waits for nothing. */
  static async start(options: CrewOptions): Promise<Crew> {
    const { server, clients, changesPerSecond, seed, tables, folder } = options;
    const { protocol, hostname, port } = new URL(server.url);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const stations: Station[] = [];
    for (let client = 1; client <= clients; client++) {
      const way = await FaultProxy.start(port === '' ? DEFAULT_PORT : Number(port), host);
      const process = new ClientProcess({
        url: `${protocol}//127.0.0.1:${way.port}`,
        servername: protocol === 'tcps:' && isIP(host) === 0 ? host : undefined,
        token: server.token,
        stepsPerSecond: changesPerSecond / CHANGES_PER_STEP / clients,
        ...{ seed, client, tables, folder },
      });
      stations.push({ client: process, way });
    }
    for (const { client } of stations) client.start();
    return new Crew(stations, options);
  }

  /** Changes that the clients were told are applied, about. */
  get applied(): number {
    return this.stations.reduce((sum, { client }) => sum + client.applied, 0);
  }

  /** How often clients were started. */
  get lives(): number {
    return this.histories().reduce((sum, { lives }) => sum + lives.size, 0);
  }

  /**
   * Waits until everything that is written by now is acknowledged as applied. Gives undefined, or why the wait was given
   * up; the empty text when it was stopped.
   */
  caughtUp(stop?: AbortSignal): Promise<string | undefined> {
    return this.#wait(Promise.all(this.stations.map(({ client }) => client.caughtUp())), stop);
  }

  /** Heals every way, lets the clients write no more, and waits until everything is applied; as {@link caughtUp}. */
  finish(): Promise<string | undefined> {
    for (const { way } of this.stations) way.heal();
    return this.#wait(Promise.all(this.stations.map(({ client }) => client.finish())), undefined);
  }

  /** Connections go to another port of the server from now on. */
  retarget(port: number): void {
    for (const { way } of this.stations) way.retarget(port);
  }

  histories(): ClientHistory[] {
    return this.stations.map(({ client }) => client.history());
  }

  /** Ends every process and every connection. */
  async close(): Promise<void> {
    await Promise.all(this.stations.map(({ client }) => client.kill()));
    await Promise.all(this.stations.map(({ way }) => way.close()));
  }

  #wait(goal: Promise<unknown>, stop: AbortSignal | undefined): Promise<string | undefined> {
    const { patienceMs, trouble } = this.#options;
    return withPatience(goal, {
      progress: () => this.applied,
      trouble: () => this.stations.map(({ client }) => client.trouble).find((one) => one !== undefined) ?? trouble(),
      patienceMs,
      ...(stop === undefined ? {} : { stop }),
    });
  }
}
