import { BatchScan } from '../../src/protocol/scan.ts';
import type { Micro, MicroCase } from './micro.ts';
import { batchOf, SAMPLE_ROWS, sampleItems } from './samples.ts';

export const scan: Micro = {
  name: 'scan',
  title: 'untrusted payloads checked before anything is stored (src/protocol/scan.ts, value-scan.ts)',
  cases() {
    const items = sampleItems();
    return [
      scanning('one batch of all rows', [batchOf(items)]),
      scanning(
        'a batch for each row',
        items.map((item) => batchOf([item])),
      ),
    ];
  },
};

function scanning(name: string, payloads: readonly Uint8Array[]): MicroCase {
  const one = new BatchScan();
  const run = () => {
    for (const payload of payloads) if (!one.scan(payload)) throw new Error(one.reason);
  };
  return { name, unit: 'change', count: SAMPLE_ROWS, run };
}
