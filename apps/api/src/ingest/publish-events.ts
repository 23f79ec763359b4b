import { type Keyring, SealpostError } from '@sealpost/core';
import {
  type AcceptResult,
  type Admitted,
  accept,
  type Barrier,
  enqueue,
  Numbers,
  onConnectionLost,
  type Retention,
  type Shard,
  type Shards,
} from '@sealpost/queue';
import type { Expressions } from '@sealpost/sandbox';
import {
  type AppConfig,
  type AppPart,
  appNotFound,
  type Configs,
  type Deliveries,
  deliveryNumbers,
  type Events,
  type Records,
} from '@sealpost/store';
import type { Instruments, Logger, RequestTrace, Tracing } from '@sealpost/telemetry';
import { assertCallerKey } from '../http/authenticate.ts';
import type { Caller } from '../http/route.ts';
import { assertMayPublish } from './assert-may-publish.ts';
import type { FirstAttempts, FirstAttemptsOf } from './await-first-attempts.ts';
import { countAccepted } from './count-events.ts';
import { PublishFilters } from './filter-events.ts';
import { lookElsewhere } from './look-elsewhere.ts';
import { makeDurable } from './make-durable.ts';
import { matchStretch, size } from './match-stretch.ts';
import { admittedOf, type Draft, type Prepared, prepareEvent } from './prepare-event.ts';
import { knownPublished, newlyPublished, type Published } from './published-event.ts';
import type { ShedLoad } from './shed-load.ts';
import { tracePublish } from './trace-publish.ts';

/** How often one publish is matched anew because the app's config changed meanwhile. */
const TRIES = 10;

/** Told of the number before ACCEPT, for who waits for first attempts. */
type WaitingDraft = Draft & { onNumber?: (wait: FirstAttemptsOf) => void };

/** Called at a named step; kills the process in tests of what a crash there does. */
export type FaultPoint = (step: 'after-accept') => void;

type Options = {
  shards: Shards;
  configs: Configs;
  events: Events;
  deliveries: Deliveries;
  records: Records;
  keyring: Keyring;
  firstAttempts: FirstAttempts;
  expressions: Pick<Expressions, 'filterEarly'>;
  retention: Retention;
  /** Undefined: what Redis has is durable enough. */
  barrier: Barrier | undefined;
  shed: ShedLoad;
  fault: FaultPoint;
  logger: Logger;
  instruments: Instruments<'api'>;
  tracing: Tracing;
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
    onConnectionLost(options.shards.client, () => {
      for (const numbers of this.#numbers.values()) numbers.drop();
    });
  }

  /**
   * Publishes in order. Resolves to a result for each.
   * @param trace of the request; absent where there is none
   * @throws SealpostError app_not_found, unauthorized, forbidden, overloaded, not_durable; or Redis' error when nothing can
   * be stored
   */
  async publish(app: string, caller: Caller, drafts: Draft[], trace?: RequestTrace): Promise<Published[]> {
    if (!trace) return this.#publish(app, caller, drafts);
    return tracePublish(this.#options.tracing, trace, app, drafts, (traced) =>
      this.#publish(app, caller, traced),
    );
  }

  async #publish(app: string, caller: Caller, drafts: Draft[]): Promise<Published[]> {
    // A test says nothing about what happened: it goes to one endpoint that an operator named.
    if (drafts.some(({ only }) => only === undefined)) assertMayPublish(app, caller);
    const results = new Array<Published>(drafts.length);
    let left = drafts.map((_, i) => i);
    let shard: Shard | undefined;
    let failure: unknown;
    for (let tries = 0; left.length > 0 && failure === undefined; ) {
      const config = await (tries === 0 ? this.#options.configs.known(app) : this.#options.configs.load(app));
      if (!config) throw appNotFound(app);
      assertCallerKey(config, caller);
      if (!shard) {
        shard = this.#options.shards.get(config.shard);
        this.#options.shed.checkMemory(shard);
        this.#options.shed.checkDepth(shard);
      }
      shard = this.#options.shards.get(config.shard);
      const stretch = await this.#publishStretch(shard, config, drafts, left, results);
      ({ left, failure } = stretch);
      tries = stretch.refused ? tries + 1 : 0;
      if (tries === TRIES) {
        failure ??= new SealpostError('config_conflict', `App ${app} is changing too fast; try again.`);
      }
    }
    if (failure !== undefined) throw failure;
    await makeDurable(this.#options.barrier, this.#options.shards, results);
    return results;
  }

  /** Why new events are refused for a while; undefined: they are not. */
  get sheds(): string | undefined {
    return this.#options.shed.reason;
  }

  /** Whether all connections are there that publishing needs. */
  get isConnected(): boolean {
    const { shards, barrier } = this.#options;
    return shards.client.status === 'ready' && (barrier?.isConnected ?? true);
  }

  /** Somebody's event, or request to publish, was refused, with this code of a problem. */
  refused(code: string): void {
    this.#options.instruments.eventsRefused.inc({ code });
  }

  /** Publishes one event and waits for the first attempts, `waitMs` at most. Statuses are then as they are. */
  async publishAndWait(
    app: string,
    caller: Caller,
    draft: Draft,
    waitMs: number,
    signal: AbortSignal,
    trace?: RequestTrace,
  ): Promise<Published> {
    await this.#options.firstAttempts.listen();
    const waits: FirstAttemptsOf[] = [];
    try {
      const waiting = { ...draft, onNumber: (wait: FirstAttemptsOf) => waits.push(wait) };
      const [published] = await this.publish(app, caller, [waiting], trace);
      if (!published!.duplicate) await waits.at(-1)?.within(waitMs, signal);
      return this.#withStatuses(published!);
    } finally {
      for (const wait of waits) wait.end();
    }
  }

  /**
   * One try at the first of those that are left, so that a wide batch neither blocks this process nor lets calls wait
   * behind each other until they time out. `refused`: the config was too old, or a
   * number taken, for some, which come first in `left`.
   */
  async #publishStretch(
    shard: Shard,
    config: AppConfig,
    drafts: WaitingDraft[],
    todo: number[],
    results: Published[],
  ): Promise<{ left: number[]; refused: boolean; failure: unknown }> {
    const filters = new PublishFilters(this.#options.expressions);
    const stretch = matchStretch(config, drafts, todo, filters);
    const before =
      config.moves.former && (await lookElsewhere(this.#options.shards, config, drafts, stretch));
    // An event takes as many numbers as it has deliveries, and one at least.
    let next = await this.#numbersOf(shard).take(
      stretch.reduce((sum, { targets }) => sum + size(targets), 0),
    );
    const accepting = stretch.map(async ({ index, targets }) => {
      const draft = drafts[index]!;
      const elsewhere = before?.get(index);
      if (elsewhere?.known) return { index, known: elsewhere.known };
      const number = next;
      next += size(targets);
      const waitedFor = draft.onNumber !== undefined;
      const prepared = prepareEvent(this.#options.keyring, config, draft, number, targets, waitedFor);
      const attempted = targets.filter(({ skip }) => !skip).length;
      draft.onNumber?.(this.#options.firstAttempts.expect(shard.number, number, attempted));
      // Sent in this order over one connection, so accepted in this order.
      const result = await this.#accept(shard, config, prepared, waitedFor, elsewhere?.counted);
      return { index, prepared, result };
    });
    const admitted: Admitted[] = [];
    const refused: number[] = [];
    const duplicates: { index: number; part: AppPart; number: number }[] = [];
    let failure: unknown;
    for (const settled of await Promise.allSettled(accepting)) {
      if (settled.status === 'rejected') {
        failure ??= settled.reason;
        continue;
      }
      const { index, prepared, result, known } = settled.value;
      if (known) {
        duplicates.push({ index, ...known });
        continue;
      }
      if (result.result === 'taken') this.#numbersOf(shard).drop();
      if (result.result === 'stale' || result.result === 'taken') refused.push(index);
      else if (result.result === 'duplicate') duplicates.push({ index, part: config, number: result.number });
      else {
        countAccepted(this.#options.instruments, prepared);
        this.#options.shed.added(shard, prepared.deliveries.length);
        results[index] = newlyPublished(shard.number, prepared, result.sequence);
        admitted.push(...admittedOf(shard.number, prepared, result.admitted));
      }
    }
    // First: whatever reading the others comes to, these have been accepted.
    await this.#enqueue(shard, admitted);
    for (const { index, part, number } of duplicates) {
      this.#options.instruments.eventsDuplicate.inc();
      try {
        results[index] = await this.#known(part, number);
      } catch (error) {
        failure ??= error;
      }
    }
    return { left: [...refused, ...todo.slice(stretch.length)], refused: refused.length > 0, failure };
  }

  async #enqueue(shard: Shard, admitted: Admitted[]): Promise<void> {
    this.#options.fault('after-accept');
    if (admitted.length === 0) return;
    await enqueue(shard.queue, admitted).catch((error: unknown) => {
      // Accepted is accepted: the reconciler gives them their jobs.
      this.#options.logger.warn({ err: error, jobs: admitted.length }, 'accepted, but not enqueued yet');
    });
  }

  #accept(
    shard: Shard,
    config: AppConfig,
    prepared: Prepared,
    wait: boolean,
    counted: number | undefined,
  ): Promise<AcceptResult> {
    return accept(shard, {
      app: config.number,
      configVersion: config.version,
      number: prepared.number,
      record: prepared.recordText,
      body: prepared.draft.payload,
      ownId: prepared.record.i,
      correlationId: prepared.record.c,
      counted,
      waitChannel: wait ? this.#options.firstAttempts.channel : undefined,
      deliveries: prepared.deliveries,
      retention: this.#options.retention,
    });
  }

  async #known(part: AppPart, number: number): Promise<Published> {
    const shard = this.#options.shards.get(part.shard);
    const event = await this.#options.events.read(shard, number);
    if (!event) {
      // It has expired in between; or a server that has been replaced, and did not know yet, knew the id.
      const detail = 'What Redis knew of the event with this id is gone; publish it again.';
      throw new SealpostError('queue_unavailable', detail, { retryAfterSeconds: 1 });
    }
    const deliveries = await this.#options.deliveries.read(shard, deliveryNumbers(event));
    return knownPublished(
      part.shard,
      event,
      deliveries.filter(({ record }) => record.app === part.number),
    );
  }

  async #withStatuses(event: Published): Promise<Published> {
    const now = await this.#options.records.readDeliveries(event.deliveries.map(({ id }) => id));
    const statuses = new Map(now.map(({ id, record }) => [id, record.status]));
    return {
      ...event,
      deliveries: event.deliveries.map((delivery) => ({
        ...delivery,
        status: statuses.get(delivery.id) ?? delivery.status,
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
