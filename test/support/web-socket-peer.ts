import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';

const BINARY = 2;
const CLOSE = 8;
const FIN = 0x80;
const MASKED = 0x80;

export interface UpgradeOptions {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The far end of a WebSocket, on a socket that is connected; it does what a test tells it and nothing by itself. */
export class WebSocketPeer {
  readonly socket: Socket;
  /** The code of the close frame that came. */
  closeCode: number | undefined;
  readonly #take: (payload: Buffer) => void;
  #received: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket, take: (payload: Buffer) => void) {
    this.socket = socket;
    this.#take = take;
  }

  /** Asks for an upgrade; `take` gets the payload of each binary message. Rejects with the head of any other answer. */
  static async upgrade(socket: Socket, take: (payload: Buffer) => void, options: UpgradeOptions = {}): Promise<WebSocketPeer> {
    socket.write(upgradeRequest(options));
    const answer = await headOf(socket);
    const end = answer.indexOf('\r\n\r\n') + 4;
    const head = answer.subarray(0, end).toString();
    if (!head.startsWith('HTTP/1.1 101')) throw new Error(answer.toString());
    const peer = new WebSocketPeer(socket, take);
    socket.on('data', (chunk: Buffer) => peer.#push(chunk));
    peer.#push(answer.subarray(end));
    return peer;
  }

  /** Sends a message; `opcode` 1 is text. */
  send(payload: Uint8Array, opcode = BINARY): void {
    this.socket.write(clientFrame(payload, opcode));
  }

  #push(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      if (frame.opcode === BINARY) this.#take(frame.payload);
      if (frame.opcode === CLOSE) this.closeCode = frame.payload.readUInt16BE(0);
    }
  }

  /** Servers neither mask nor, here, cut their messages. */
  #next(): { opcode: number; payload: Buffer } | undefined {
    const bytes = this.#received;
    if (bytes.length < 2) return undefined;
    const short = bytes[1]! & 0x7f;
    const at = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < at) return undefined;
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < at + length) return undefined;
    this.#received = bytes.subarray(at + length);
    return { opcode: bytes[0]! & 0x0f, payload: bytes.subarray(at, at + length) };
  }
}

/** What comes until the head of an answer is complete, and maybe a little more. */
function headOf(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const closed = () => reject(new Error(`the connection closed after ${answer.length} bytes: ${answer.toString()}`));
    const take = (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (!answer.includes('\r\n\r\n')) return;
      socket.off('data', take);
      socket.off('close', closed);
      resolve(answer);
    };
    if (socket.destroyed) return closed();
    socket.on('data', take);
    socket.once('close', closed);
  });
}

export function upgradeRequest({ path = '/ws', headers = {} }: UpgradeOptions = {}): string {
  const lines = Object.entries({
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** A whole message as clients send it, masked; with `length` only its begin, of a message that is so long. */
export function clientFrame(payload: Uint8Array, opcode = BINARY, length = payload.length): Buffer {
  const head = length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = FIN | opcode;
  head[1] = MASKED | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  const mask = randomBytes(4);
  const masked = Buffer.from(payload);
  for (let i = 0; i < masked.length; i++) masked[i]! ^= mask[i & 3]!;
  return Buffer.concat([head, mask, masked]);
}
