export const SLOT_COUNT = 16_384;

/** CRC-16/XMODEM of each byte. */
const TABLE = Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
});
const known = new Map<string, number>();

/** The slot of a key, each character one byte: that of what is between its first braces, when that is anything. */
export function slotOfKey(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let slot = known.get(hashed);
  if (slot === undefined) known.set(hashed, (slot = crc16(hashed) % SLOT_COUNT));
  return slot;
}

/** Slots as Redis writes them: ranges of those that follow each other. */
export function rangesOf(slots: readonly number[]): string[] {
  const ranges: string[] = [];
  for (let i = 0; i < slots.length;) {
    let last = i;
    while (slots[last + 1] === slots[last]! + 1) last++;
    ranges.push(last === i ? String(slots[i]) : `${slots[i]}-${slots[last]}`);
    i = last + 1;
  }
  return ranges;
}

function crc16(text: string): number {
  let crc = 0;
  for (let i = 0; i < text.length; i++) crc = ((crc << 8) & 0xffff) ^ TABLE[((crc >> 8) ^ text.charCodeAt(i)) & 0xff]!;
  return crc;
}
