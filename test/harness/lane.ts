import { setTimeout as delay } from 'node:timers/promises';
import { parseId } from '@sealpost/core';
import { expect } from 'vitest';
import type { Answer, Loose } from './api-client.ts';
import { PATIENCE_MS } from './patience.ts';
import { type ReceivedRequest, Receiver, type Responder, type Response } from './receiver.ts';
import type { Stack } from './stack.ts';
import { Tenant } from './tenant.ts';
import { waitFor } from './wait-for.ts';

/** What a receiver has taken and not yet answered: how much there is now, and was at most, at once. */
export class UnderWay {
  now = 0;
  most = 0;
  readonly #held: ((answer: Response) => void)[] = [];

  /** Takes each request, and answers as `responder` says when it says so. */
  counting(responder: (request: ReceivedRequest, nth: number) => Response | Promise<Response>): Responder {
    return async (request, nth) => {
      this.now += 1;
      this.most = Math.max(this.most, this.now);
      try {
        return await responder(request, nth);
      } finally {
        this.now -= 1; // before the answer is out, so that whoever comes in reply to it finds it gone
      }
    };
  }

  /** Takes each request and keeps it until `release`. */
  get holding(): Responder {
    return this.counting(() => new Promise((resolve) => this.#held.push(resolve)));
  }

  /** Answers what is held now: all of it, or the oldest `count`. */
  release(answer: Response = 200, count = Number.POSITIVE_INFINITY): void {
    for (const resolve of this.#held.splice(0, count)) resolve(answer);
  }
}

/** Answers after a while, as a receiver that has work to do. */
export function slowly(ms: number, answer: Response = 200): () => Promise<Response> {
  return () => delay(ms, answer);
}

/** What the event carried: the number of it, where a test gave it one. */
export function payloadOf(request: ReceivedRequest): Loose {
  return JSON.parse(request.text).data;
}

let lanes = 0;

/**
 * An endpoint with a receiver and an app of its own, seen as what waits for it. It is subscribed to a type of its own,
 * so that several may share an app.
 */
export class Lane {
  readonly stack: Stack;
  readonly tenant: Tenant;
  readonly receiver: Receiver;
  readonly type: string;
  readonly underWay = new UnderWay();
  /** Of the endpoint. */
  readonly id: string;

  private constructor(stack: Stack, tenant: Tenant, receiver: Receiver, type: string, id: string) {
    this.stack = stack;
    this.tenant = tenant;
    this.receiver = receiver;
    this.type = type;
    this.id = id;
  }

  static async open(stack: Stack, settings: object = {}, tenant?: Tenant): Promise<Lane> {
    const type = `lane.${lanes++}`;
    const [receiver, owner] = await Promise.all([Receiver.listen(), tenant ?? Tenant.create(stack.client)]);
    const input = { url: receiver.url('/hook'), event_types: [type], ...settings };
    const { id } = await owner.endpoint(input);
    return new Lane(stack, owner, receiver, type, id);
  }

  /** Publishes one event with this payload, and gives the id of its delivery. */
  send(payload: unknown, event: object = {}): Promise<string> {
    return this.tenant.send({ type: this.type, payload, ...event });
  }

  /** Publishes events whose payloads are the numbers from `from`, each once the one before is accepted. */
  async sendEach(count: number, from = 0): Promise<string[]> {
    const ids: string[] = [];
    for (let n = from; n < from + count; n++) ids.push(await this.send(n));
    return ids;
  }

  /** Publishes events whose payloads are the numbers from `from`, in as few batches as there can be. */
  async sendMany(count: number, from = 0): Promise<string[]> {
    const ids: string[] = [];
    while (ids.length < count) {
      const first = from + ids.length;
      const events = Array.from({ length: Math.min(1000, count - ids.length) }, (_, i) => ({
        type: this.type,
        payload: first + i,
      }));
      const answer = await this.tenant.client.post(`${this.tenant.path}/events/batch`, { events });
      expect(answer.status, answer.text).toBe(202);
      for (const { event } of answer.json.results) ids.push(event.deliveries[0].id);
    }
    return ids;
  }

  async pause(): Promise<Loose> {
    return ok(await this.tenant.client.post(`${this.#path}/pause`));
  }

  async resume(): Promise<Loose> {
    return ok(await this.tenant.client.post(`${this.#path}/resume`));
  }

  async patch(settings: object): Promise<Loose> {
    return ok(await this.tenant.client.patch(this.#path, settings));
  }

  async delete(): Promise<void> {
    const answer = await this.tenant.client.delete(this.#path);
    expect(answer.status, answer.text).toBe(204);
  }

  /** The lane's part of the endpoint's stats: `{state, queued, in_flight, window, …}`. */
  async state(): Promise<Loose> {
    return ok(await this.tenant.client.get(`${this.#path}/stats`)).lane;
  }

  /** Resolves once the lane's stats are like this. */
  async is(expected: object): Promise<void> {
    let last: Loose;
    const describe = `the lane to be ${JSON.stringify(expected)}`;
    const matches = async () => {
      last = await this.state();
      return Object.entries(expected).every(([name, value]) => last[name] === value);
    };
    await waitFor(matches, { describe }).catch((error: Error) => {
      throw new Error(`${error.message}\nThe lane: ${JSON.stringify(last)}`, { cause: error });
    });
  }

  /** How many of its deliveries have this status. */
  async count(status: string): Promise<number> {
    const answer = await this.tenant.get(`/deliveries?endpoint_id=${this.id}&status=${status}&limit=1`);
    return ok(answer).pagination.total;
  }

  /** Resolves once exactly so many of its deliveries have this status. */
  async counted(status: string, count: number): Promise<void> {
    let last: number | undefined;
    const reached = async () => {
      last = await this.count(status);
      return last === count;
    };
    await waitFor(reached, { describe: `${count} deliveries to be ${status}` }).catch((error) => {
      throw new Error(`${error.message}\nThere are ${last}, and ${this.receiver.requests.length} requests`, {
        cause: error,
      });
    });
  }

  /** As `counted`, and the lane has not been closed meanwhile: it would be for 10 s and more, so some look would see it. */
  async countedWhileOpen(status: string, count: number): Promise<void> {
    let closed = false;
    const reached = async () => {
      closed ||= (await this.state()).state === 'closed';
      return closed || (await this.count(status)) === count;
    };
    await waitFor(reached, { describe: `${count} deliveries to be ${status}` });
    expect(closed, 'the lane was closed').toBe(false);
  }

  /** The payloads that arrived, in the order of their arrival. */
  get arrived(): Loose[] {
    return this.receiver.requests.map(payloadOf);
  }

  /** `number` of the endpoint, which names its lane's keys. */
  get number(): number {
    return parseId('ep', this.id)!.number;
  }

  get #path(): string {
    return `${this.tenant.path}/endpoints/${this.id}`;
  }
}

function ok(answer: Answer<Loose>): Loose {
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

const others = new WeakMap<Stack, Promise<Lane>>();

/** One more event has been delivered on another lane: the workers have gone on since. */
export async function otherLaneMoves(stack: Stack): Promise<void> {
  if (!others.has(stack)) others.set(stack, Lane.open(stack));
  const lane = await others.get(stack)!;
  await lane.tenant.hasStatus(await lane.send('other'), 'delivered');
}

const QUEUE = '{sp:0}:deliveries-0:';

/** How many jobs BullMQ holds, seen at one moment. */
export async function jobCounts({
  redis,
}: Stack): Promise<{ wait: number; active: number; delayed: number }> {
  const reply = await redis.client
    .multi()
    .llen(`${QUEUE}wait`)
    .llen(`${QUEUE}active`)
    .zcard(`${QUEUE}delayed`)
    .exec();
  const [wait, active, delayed] = reply!.map(([, count]) => Number(count));
  return { wait: wait!, active: active!, delayed: delayed! };
}

/** Resolves once BullMQ holds exactly so many jobs that no worker has taken. */
export async function jobsWaiting(stack: Stack, count: number): Promise<void> {
  await waitFor(async () => (await jobCounts(stack)).wait === count, {
    describe: `${count} jobs to wait in BullMQ`,
  });
}

/** Resolves once no job waits, runs or is delayed. */
export async function jobsGone(stack: Stack, timeoutMs = PATIENCE_MS): Promise<void> {
  const left = async () => {
    const { wait, active, delayed } = await jobCounts(stack);
    return wait + active + delayed === 0;
  };
  await waitFor(left, { describe: 'BullMQ to have no job left', timeoutMs });
}

/** Resolves once the first job of a delivery is delayed: its attempt runs on without a slot, or it waits for a retry. */
export async function jobDelayed({ redis }: Stack, delivery: string): Promise<void> {
  const delayed = async () => (await redis.client.zscore(`${QUEUE}delayed`, `${delivery}-1`)) !== null;
  await waitFor(delayed, { describe: `the job of ${delivery} to be delayed` });
}
