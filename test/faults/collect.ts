import type { StoredDelivery } from './judge.ts';
import type { SentEvent } from './producer.ts';
import { APP, type World } from './world.ts';

/** Requests at a time: enough to be quick, and few enough to leave others their part of the machine. */
const AT_ONCE = 6;

/** Reads every acknowledged event with its deliveries and their attempts, as any client would. */
export async function collect(
  world: World,
  events: SentEvent[],
): Promise<Map<string, StoredDelivery[] | undefined>> {
  const stored = new Map<string, StoredDelivery[] | undefined>();
  const { client } = world;
  const left = events.values();
  const get = async (path: string) => {
    const answer = await client.get(`/v1/apps/${APP}${path}`);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  };
  const read = async () => {
    for (const { answer } of left) {
      if (!answer) continue;
      const event = await get(`/events/${answer.id}`);
      const deliveries: StoredDelivery[] = [];
      for (const { id } of event?.deliveries ?? []) deliveries.push(await get(`/deliveries/${id}`));
      stored.set(answer.id, event && deliveries);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, read));
  return stored;
}
