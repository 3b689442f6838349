import { MAX_DATAGRAM_BYTES } from '../core/stream.ts';
import { bytes, GIB, integer, KIB, MIB, optionalBytes, optionalInteger, optionalText, PORTS, section } from './option.ts';

/** The section `listen.udp`. */
export const udpOptions = section('Batches in datagrams: at most once, without an answer. Off until `port` is set.', {
  host: optionalText({
    description: 'Address to listen on, of IPv4 or IPv6. Without a token and without `producers` only a loopback address is allowed.',
    env: 'SYNCLINE_UDP_HOST',
    takesEffect: 'restart',
    fallback: '`0.0.0.0` with a token or `producers`, else `127.0.0.1`',
  }),
  port: optionalInteger(PORTS, {
    description: 'Port, by custom 9503; 0 takes any free one.',
    env: 'SYNCLINE_UDP_PORT',
    takesEffect: 'restart',
    fallback: 'nothing listens',
  }),
  maxDatagramBytes: bytes([64, MAX_DATAGRAM_BYTES], 8 * KIB, {
    description: 'Largest datagram. What is larger than the network takes in one packet (some 1400 bytes) is lost more often.',
    env: 'SYNCLINE_UDP_MAX_DATAGRAM_BYTES',
    takesEffect: 'reload',
  }),
  datagramsPerSecond: integer([1, 10_000_000], 20_000, {
    description: 'Datagrams in a second, of all addresses together; what is above is dropped.',
    env: 'SYNCLINE_UDP_DATAGRAMS_PER_SECOND',
    takesEffect: 'reload',
  }),
  datagramsPerSecondPerAddress: integer([1, 10_000_000], 1000, {
    description: 'The same from one address, or from one /64 of IPv6.',
    env: 'SYNCLINE_UDP_DATAGRAMS_PER_SECOND_PER_ADDRESS',
    takesEffect: 'reload',
  }),
  bufferBytes: bytes([64 * KIB, GIB], 16 * MIB, {
    description: 'How much of one producer may wait here until it is stored; what comes then is dropped.',
    env: 'SYNCLINE_UDP_BUFFER_BYTES',
    takesEffect: 'restart',
  }),
  recvBufferBytes: optionalBytes([4 * KIB, GIB], {
    description: 'What the system keeps of datagrams while this process is busy. Linux grants `net.core.rmem_max` at most.',
    env: 'SYNCLINE_UDP_RECV_BUFFER_BYTES',
    takesEffect: 'restart',
    fallback: "the system's default",
  }),
});
