import { Publisher, readPublisherSettings } from '@sealpost/api/publisher';

/*
 * A trusted service that publishes straight into Redis, to be killed: from the number on that it is given, in tens, each
 * event with an id of its own. Prints `told N` when all events below N were acknowledged.
 */
const [app, from] = process.argv.slice(2);
const publisher = await Publisher.connect(readPublisherSettings(process.env));
for (let n = Number(from); ; n += 10) {
  const events = Array.from({ length: 10 }, (_, i) => ({
    id: `e${n + i}`,
    type: 'order.created',
    payload: { n: n + i },
  }));
  const results = await publisher.publishMany(app!, events);
  const failed = results.find(({ error }) => error);
  if (failed) throw failed.error;
  console.log(`told ${n + 10}`);
}
