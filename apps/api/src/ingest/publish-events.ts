import { type Keyring, SealpostError } from '@sealpost/core';
import {
  type AcceptResult,
  type Admitted,
  accept,
  enqueue,
  Numbers,
  type Retention,
  type Shard,
  type Shards,
} from '@sealpost/queue';
import {
  type AppConfig,
  appNotFound,
  type Configs,
  type Deliveries,
  deliveryNumbers,
  type Events,
} from '@sealpost/store';
import type { Logger } from '@sealpost/telemetry';
import { assertCallerKey } from '../http/authenticate.ts';
import type { Caller } from '../http/route.ts';
import type { FirstAttempts, FirstAttemptsOf } from './await-first-attempts.ts';
import { type Barrier, makeDurable } from './make-durable.ts';
import { matchEndpoints } from './match-endpoints.ts';
import { admittedOf, type Draft, type Prepared, prepareEvent } from './prepare-event.ts';
import { knownPublished, newlyPublished, type Published } from './published-event.ts';
import type { ShedLoad } from './shed-load.ts';

/** How often one publish is matched anew because the app's config changed meanwhile. */
const TRIES = 10;

/** Called at a named step; kills the process in tests of what a crash there does. */
export type FaultPoint = (step: 'after-accept') => void;

type Options = {
  shards: Shards;
  configs: Configs;
  events: Events;
  deliveries: Deliveries;
  keyring: Keyring;
  firstAttempts: FirstAttempts;
  retention: Retention;
  barrier: Barrier;
  shed: ShedLoad;
  fault: FaultPoint;
  logger: Logger;
};

/**
 * The main path of the API: match → seal → ACCEPT → (durability) → enqueue, for one event or many of one app at once.
 * When it resolves, Redis has the events; what has no job yet gets one from the reconciler.
 */
export class PublishEvents {
  readonly #options: Options;
  readonly #numbers = new Map<number, Numbers>();

  constructor(options: Options) {
    this.#options = options;
    options.shards.client.on('close', () => {
      for (const numbers of this.#numbers.values()) numbers.drop();
    });
  }

  /**
   * Publishes in order. Resolves to a result for each.
   * @throws SealpostError app_not_found, unauthorized, overloaded, not_durable; or Redis' error when nothing can be stored
   */
  async publish(app: string, caller: Caller, drafts: Draft[]): Promise<Published[]> {
    this.#options.shed.check(Date.now());
    const results = new Array<Published>(drafts.length);
    const admitted: Admitted[] = [];
    let left = drafts.map((_, i) => i);
    let config: AppConfig | undefined;
    let failure: unknown;
    for (let i = 0; i < TRIES && left.length > 0 && failure === undefined; i++) {
      config = await (i === 0 ? this.#options.configs.known(app) : this.#options.configs.load(app));
      if (!config) throw appNotFound(app);
      assertCallerKey(config, caller);
      ({ left, failure } = await this.#attempt(config, drafts, left, results, admitted));
    }
    if (left.length > 0) {
      failure ??= new SealpostError('config_conflict', `App ${app} is changing too fast; try again.`);
    }
    const shard = this.#options.shards.get(config!.shard);
    if (admitted.length > 0) this.#options.fault('after-accept');
    if (failure === undefined) {
      failure = await makeDurable(shard, this.#options.barrier).then(
        () => undefined,
        (error: unknown) => error,
      );
    }
    await enqueue(shard.queue, admitted).catch((error: unknown) => {
      // Accepted is accepted: the reconciler gives them their jobs.
      this.#options.logger.warn({ err: error, jobs: admitted.length }, 'accepted, but not enqueued yet');
    });
    if (failure !== undefined) throw failure;
    return results;
  }

  /** Publishes one event and waits for the first attempts, `waitMs` at most. Statuses are then as they are. */
  async publishAndWait(
    app: string,
    caller: Caller,
    draft: Draft,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Published> {
    await this.#options.firstAttempts.listen();
    const waits: FirstAttemptsOf[] = [];
    try {
      const waiting = { ...draft, onNumber: (wait: FirstAttemptsOf) => waits.push(wait) };
      const [published] = await this.publish(app, caller, [waiting]);
      if (!published!.duplicate) await waits.at(-1)?.within(waitMs, signal);
      return this.#withStatuses(app, published!);
    } finally {
      for (const wait of waits) wait.end();
    }
  }

  /** One try at those that are left: which of them must be tried again, and the first error, if any. */
  async #attempt(
    config: AppConfig,
    drafts: (Draft & { onNumber?: (wait: FirstAttemptsOf) => void })[],
    left: number[],
    results: Published[],
    admitted: Admitted[],
  ): Promise<{ left: number[]; failure: unknown }> {
    const shard = this.#options.shards.get(config.shard);
    const targets = left.map((i) => {
      const { input, only } = drafts[i]!;
      return only ? [only] : matchEndpoints(config, input);
    });
    // An event takes as many numbers as it has deliveries, and one at least.
    const first = await this.#numbersOf(shard).take(
      targets.reduce((sum, list) => sum + Math.max(1, list.length), 0),
    );
    let next = first;
    const accepting = left.map((i, j) => {
      const draft = drafts[i]!;
      const number = next;
      next += Math.max(1, targets[j]!.length);
      const waitedFor = draft.onNumber !== undefined;
      const prepared = prepareEvent(this.#options.keyring, config, draft, number, targets[j]!, waitedFor);
      draft.onNumber?.(
        this.#options.firstAttempts.expect(
          shard.number,
          number,
          targets[j]!.filter(({ skip }) => !skip).length,
        ),
      );
      // Sent in this order over one connection, so accepted in this order.
      return this.#accept(shard, config, prepared, draft.onNumber !== undefined).then((result) => ({
        prepared,
        result,
      }));
    });
    const again: number[] = [];
    let failure: unknown;
    for (const [j, settled] of (await Promise.allSettled(accepting)).entries()) {
      if (settled.status === 'rejected') {
        failure ??= settled.reason;
        continue;
      }
      const { prepared, result } = settled.value;
      if (result.result === 'stale') again.push(left[j]!);
      else if (result.result === 'taken') {
        this.#numbersOf(shard).drop();
        again.push(left[j]!);
      } else if (result.result === 'duplicate') {
        results[left[j]!] = await this.#known(shard, config, result.number);
      } else {
        results[left[j]!] = newlyPublished(shard.number, prepared, result.sequence);
        admitted.push(...admittedOf(shard.number, prepared));
      }
    }
    return { left: again, failure };
  }

  #accept(shard: Shard, config: AppConfig, prepared: Prepared, wait: boolean): Promise<AcceptResult> {
    return accept(shard, {
      app: config.number,
      configVersion: config.version,
      number: prepared.number,
      record: prepared.recordText,
      body: prepared.draft.payload,
      ownId: prepared.record.i,
      correlationId: prepared.record.c,
      waitChannel: wait ? this.#options.firstAttempts.channel : undefined,
      deliveries: prepared.deliveries,
      retention: this.#options.retention,
    });
  }

  async #known(shard: Shard, config: AppConfig, number: number): Promise<Published> {
    const event = await this.#options.events.read(shard, number);
    if (!event)
      throw new SealpostError(
        'event_not_found',
        'The event with this id has just expired; publish it again.',
      );
    const deliveries = await this.#options.deliveries.read(shard, deliveryNumbers(event));
    return knownPublished(
      event,
      deliveries.filter(({ record }) => record.app === config.number),
    );
  }

  async #withStatuses(app: string, event: Published): Promise<Published> {
    const config = await this.#options.configs.newest(app);
    const shard = this.#options.shards.get(config.shard);
    const now = await this.#options.deliveries.read(
      shard,
      event.deliveries.map(({ number }) => number),
    );
    const statuses = new Map(now.map(({ number, record }) => [number, record.status]));
    return {
      ...event,
      deliveries: event.deliveries.map((delivery) => ({
        ...delivery,
        status: statuses.get(delivery.number) ?? delivery.status,
      })),
    };
  }

  #numbersOf(shard: Shard): Numbers {
    let numbers = this.#numbers.get(shard.number);
    if (!numbers) {
      numbers = new Numbers(shard);
      this.#numbers.set(shard.number, numbers);
    }
    return numbers;
  }
}
