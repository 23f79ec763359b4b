import type { Redis } from 'ioredis';
import { eventually } from '../harness/clock.ts';

/** The processes that are counted. */
export type Pids = { api: number; worker: number; redis: number };

/** Something that takes events and delivers them: Sealpost, or what it is compared with. */
export interface System {
  readonly pids: Pids;
  /** For looking only. */
  readonly redis: Redis;
  /** What its BullMQ keys begin with. */
  readonly queue: string;
  stop(): Promise<void>;
}

/** Where events of a system go, and how many have arrived there. */
export interface Target {
  readonly system: System;
  readonly arrivals: Arrivals;
  /** Publishes one event in one request. @throws Error unless it is answered with 202 */
  publish(n: number): Promise<unknown>;
}

/** How much has come so far, and somebody who wants to know when it is more. */
export class Arrivals {
  onChange: () => void = () => {};
  #count = 0;

  get count(): number {
    return this.#count;
  }

  readonly set = (count: number): void => {
    this.#count = count;
    this.onChange();
  };
}

/** Resolves when no job waits or runs: the worker has finished with what has arrived. @throws Error after a minute */
export async function idle({ redis, queue }: System): Promise<void> {
  const nothing = async () => {
    const lengths = await Promise.all(['wait', 'active'].map((list) => redis.llen(`${queue}:${list}`)));
    return lengths.every((length) => length === 0);
  };
  if (!(await eventually(nothing, { timeoutMs: 60_000, everyMs: 5 }))) throw new Error('jobs are left');
}
