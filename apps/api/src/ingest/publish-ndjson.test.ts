import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { chunksOfLines } from './publish-ndjson.ts';

it('a body that breaks off is the client’s doing, whatever Node calls it', async () => {
  const body = new Readable({ read() {} });
  body.push('{"n":1}\n');
  const chunks = chunksOfLines(body, 1000);
  expect((await chunks.next()).value).toHaveLength(1);
  body.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }));
  await expect(chunks.next()).rejects.toMatchObject({ code: 'malformed_request' });
});

it('what fails while lines are worked on is thrown as it is', async () => {
  const failure = new Error('Redis');
  const work = async () => {
    for await (const _ of chunksOfLines(Readable.from([Buffer.from('{}\n')]), 1000)) throw failure;
  };
  await expect(work()).rejects.toBe(failure);
});
