import { expect, it } from 'vitest';
import { hashEvent } from './event-record.ts';

it('the hash of an event is SHA-256 over record, NUL and body, texts and bytes alike', () => {
  const [record, body] = ['{"t":"ä"}', '"€ 😀"'];
  const hex = Buffer.from(hashEvent(record, body), 'latin1').toString('hex');
  // printf '{"t":"ä"}\0"€ 😀"' | sha256sum
  expect(hex).toBe('10d43069aa686e4a0f44bf6ccd20b0e37b3e0a485c285cbd3bfd2800d2330cf1');
  expect(hashEvent(Buffer.from(record), Buffer.from(body))).toBe(hashEvent(record, body));
  expect(hashEvent(record, Buffer.from(body))).toBe(hashEvent(record, body));
});
