import type { Connection, Dialer } from '../../../src/core/network.ts';
import { type WireFrame, WireReader } from '../checker/wire.ts';

/** Hears what one connection of a client carries. */
export interface Tap {
  sent(frame: WireFrame): void;
  received(frame: WireFrame): void;
}

/** Dials with `dialer`; `open` gives a tap for every connection. */
export function tapped(dialer: Dialer, open: () => Tap): Dialer {
  return {
    async connect(signal) {
      const connection = await dialer.connect(signal);
      return tap(connection, open());
    },
  };
}

/** Lets `listener` hear what a connection carries. */
export function tap(connection: Connection, listener: Tap): Connection {
  const [out, back] = [new WireReader(), new WireReader()];
  return {
    remoteAddress: connection.remoteAddress,
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
    open: (receiver) =>
      connection.open({
        data: (chunk) => {
          for (const frame of back.push(chunk)) listener.received(frame);
          receiver.data(chunk);
        },
        drain: () => receiver.drain(),
        close: (error) => receiver.close(error),
      }),
    write: (chunk) => {
      for (const frame of out.push(chunk)) listener.sent(frame);
      connection.write(chunk);
    },
    pause: () => connection.pause(),
    resume: () => connection.resume(),
    end: () => connection.end(),
    destroy: () => connection.destroy(),
  };
}
