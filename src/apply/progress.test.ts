import { expect, test } from 'vitest';
import type { Sink } from '../sinks/sink.ts';
import { SinkProgress } from './progress.ts';

test('a stream is ended once for all who ask meanwhile, and again for who asks later', async () => {
  const asked: string[] = [];
  const answers: PromiseWithResolvers<'ended' | 'owned by other'>[] = [];
  const endStream: Sink['endStream'] = ({ stream, producer }) => {
    asked.push(`${stream} of ${producer}`);
    const answer = Promise.withResolvers<'ended' | 'owned by other'>();
    answers.push(answer);
    return answer.promise;
  };
  const progress = new SinkProgress([{ endStream } as Sink]);
  const ends = [progress.end('a', 'shop'), progress.end('a', 'shop'), progress.end('b', 'shop')];
  expect(asked).toEqual(['a of shop', 'b of shop']);
  for (const { resolve } of answers) resolve('ended');
  await Promise.all(ends);
  const late = progress.end('a', 'bank');
  answers.at(-1)!.resolve('owned by other');
  await expect(late).rejects.toMatchObject({ code: 'stream_owned_by_other' });
  expect(asked).toHaveLength(3);
});
