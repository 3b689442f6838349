import { NotSimulated, wrongArity } from '../commands.ts';
import { ErrorReply, OK, type Reply } from '../replies.ts';
import type { ClusterMember } from './member.ts';
import { SLOT_COUNT, slotOfKey } from './slots.ts';
import type { KnownNode } from './topology.ts';

/** CLUSTER, as far as a router and whoever hands slots over use it. @throws {ErrorReply} */
export function clusterCommand(member: ClusterMember, [, subcommand = '', ...rest]: readonly string[]): Reply {
  const { topology } = member;
  switch (subcommand.toUpperCase()) {
    case 'NODES':
      if (rest.length > 0) throw new ErrorReply(wrongArity('cluster|nodes'));
      return topology.describe((node) => member.isConnectedTo(node));
    case 'MYID':
      return topology.self.id;
    case 'INFO':
      return infoOf(member);
    case 'KEYSLOT':
      return slotOfKey(rest[0]!);
    case 'COUNTKEYSINSLOT':
      return member.keysIn(readSlot(rest[0]!)).length;
    case 'GETKEYSINSLOT':
      return member.keysIn(readSlot(rest[0]!)).slice(0, Number(rest[1]));
    case 'SETSLOT':
      return setSlot(member, rest);
    default:
      throw new NotSimulated(`CLUSTER ${subcommand}`);
  }
}

function infoOf(member: ClusterMember): string {
  const { topology } = member;
  const lines = [
    `cluster_state:${member.isDown ? 'fail' : 'ok'}`,
    `cluster_known_nodes:${topology.nodes.length}`,
    `cluster_size:${topology.voters.length}`,
    `cluster_current_epoch:${topology.currentEpoch}`,
    `cluster_my_epoch:${(topology.self.master ?? topology.self).configEpoch}`,
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

function setSlot(member: ClusterMember, [slotText, how = '', id]: readonly string[]): Reply {
  const { topology } = member;
  const { self } = topology;
  if (!member.isMaster) throw new ErrorReply('ERR Please use SETSLOT only with masters.');
  const slot = readSlot(slotText!);
  switch (how.toUpperCase()) {
    case 'MIGRATING':
      if (topology.ownerOf(slot) !== self) throw new ErrorReply(`ERR I'm not the owner of hash slot ${slot}`);
      topology.migrating.set(slot, masterOf(member, id!, "I don't know about node"));
      return OK;
    case 'IMPORTING':
      if (topology.ownerOf(slot) === self) throw new ErrorReply(`ERR I'm already the owner of hash slot ${slot}`);
      topology.importing.set(slot, masterOf(member, id!, "I don't know about node"));
      return OK;
    case 'STABLE':
      topology.migrating.delete(slot);
      topology.importing.delete(slot);
      return OK;
    case 'NODE':
      return give(member, slot, masterOf(member, id!, 'Unknown node'));
    default:
      throw new ErrorReply('ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP');
  }
}

function give(member: ClusterMember, slot: number, node: KnownNode): Reply {
  const { topology } = member;
  const { self } = topology;
  const wasOwn = topology.ownerOf(slot) === self;
  const isEmpty = member.keysIn(slot).length === 0;
  if (wasOwn && node !== self && !isEmpty)
    throw new ErrorReply(`ERR Can't assign hashslot ${slot} to a different node while I still hold keys for this hash slot.`);
  if (isEmpty) topology.migrating.delete(slot);
  topology.assign(slot, node);
  if (wasOwn && node !== self && topology.slotsOf(self).length === 0) member.become(node);
  if (node === self && topology.importing.delete(slot)) {
    // So that all others believe it, whoever had the slot.
    topology.bumpEpoch();
    member.announce();
  }
  return OK;
}

function masterOf({ topology }: ClusterMember, id: string, unknown: string): KnownNode {
  const node = topology.find(id);
  if (node === undefined) throw new ErrorReply(`ERR ${unknown} ${id}`);
  if (node.master !== undefined) throw new ErrorReply('ERR Target node is not a master');
  return node;
}

function readSlot(text: string): number {
  const slot = Number(text);
  if (!/^\d+$/.test(text) || slot >= SLOT_COUNT) throw new ErrorReply('ERR Invalid or out of range slot');
  return slot;
}
