import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/*
 * All receivers, in a process of their own: they take each request at once, and keep one bit for each event and endpoint,
 * so that a million of them cost little more than 100 KB. A path is `/{endpoint}`, a payload `{"n": event, …}`.
 */

export type Arrived = { requests: number; distinct: number; repeated: number };
type Call = { nr: number; missing?: { events: number; fanOut: number } };

/** Bits by the endpoint's place among those that get the event, then by event. */
const seen: Uint8Array[] = [];
const counts: Arrived = { requests: 0, distinct: 0, repeated: 0 };

function note(place: number, event: number): void {
  counts.requests += 1;
  const byte = event >> 3;
  let bits = seen[place] ?? new Uint8Array(1 << 14);
  if (byte >= bits.length) {
    const larger = new Uint8Array(Math.max(bits.length * 2, byte + 1));
    larger.set(bits);
    bits = larger;
  }
  seen[place] = bits;
  const bit = 1 << (event & 7);
  if (bits[byte]! & bit) counts.repeated += 1;
  else counts.distinct += 1;
  bits[byte]! |= bit;
}

/** How many of the first `events` have not arrived at each of the endpoints that want them. */
function missing({ events, fanOut }: { events: number; fanOut: number }): number {
  let count = 0;
  for (let place = 0; place < fanOut; place += 1) {
    for (let n = 0; n < events; n += 1) if (!((seen[place]?.[n >> 3] ?? 0) & (1 << (n & 7)))) count += 1;
  }
  return count;
}

const server = createServer(
  { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 },
  (request, response) => {
    let text = '';
    request.setEncoding('latin1');
    request.on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      const place = Number(request.url!.slice(1));
      const n = /^\{"n":(\d+)/.exec(text)?.[1];
      if (n !== undefined && Number.isInteger(place)) note(place, Number(n));
      response.writeHead(200, { 'content-length': 0 }).end();
    });
  },
);
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on('message', ({ nr, missing: wanted }: Call) => {
  process.send?.({ nr, result: wanted ? missing(wanted) : counts });
});
process.on('disconnect', () => process.exit());
process.on('SIGINT', () => {}); // it ends with the channel
