import { CLIENTS, type Post } from './clients.ts';

/*
 * One client in a process of its own, whose CPU time is then that client's: all threads, with garbage collection.
 */

export type Order = { client: string; url: string; requests: number; atOnce: number; body: string };
export type Measured = { cpuUs: number; seconds: number };

const WARM_UP = 3000;
const HEADERS = {
  'content-type': 'application/json',
  'user-agent': 'Sealpost/0.1',
  'webhook-id': 'evt_000000000001',
  'webhook-timestamp': '1750000000',
  'webhook-signature': `v1,${'a'.repeat(44)}`,
};

async function postMany(post: Post, { url, requests, atOnce, body }: Order): Promise<void> {
  let left = requests;
  const one = async () => {
    while (left > 0) {
      left -= 1;
      await post(url, HEADERS, body);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

let warm: { client: string; post: Post } | undefined;

/** The first order is preceded by requests that do not count. */
async function measure(order: Order): Promise<Measured> {
  if (warm?.client !== order.client) {
    warm = { client: order.client, post: await CLIENTS[order.client]!() };
    await postMany(warm.post, { ...order, requests: WARM_UP });
  }
  const { post } = warm;
  const [before, start] = [process.cpuUsage(), performance.now()];
  await postMany(post, order);
  const { user, system } = process.cpuUsage(before);
  return { cpuUs: (user + system) / order.requests, seconds: (performance.now() - start) / 1000 };
}

process.on('message', (order: Order) => {
  measure(order).then((measured) => process.send!(measured));
});
process.on('disconnect', () => process.exit());
process.on('SIGINT', () => {});
