import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Arrivals, Behaviour, Call, Counts, Told } from './receiver-process.ts';

export type { Arrivals, Behaviour, Counts };

export type GroupOptions = {
  keepIds?: boolean;
  origins?: number;
  onSucceeded?: (succeeded: number) => void;
};
type Answered = { nr: number; result: unknown };

/** The process with all receivers, seen from the benchmark. */
export class Receivers {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  readonly #listeners = new Map<string, (succeeded: number) => void>();
  #calls = 0;

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'receiver-process.ts'), { serialization: 'advanced' });
    this.#child.on('message', (message: Answered | Told) => {
      if ('group' in message) return this.#listeners.get(message.group)?.(message.succeeded);
      const { nr, result } = message;
      this.#waiting.get(nr)?.(result);
      this.#waiting.delete(nr);
    });
  }

  /**
   * Receivers that behave, and are recorded, as one group; spread over this many ports, each an origin.
   * `onSucceeded` is called within milliseconds of changes, with how many requests have been answered with 2xx.
   */
  async add(
    group: string,
    behaviour: Behaviour,
    { keepIds = false, origins = 1, onSucceeded }: GroupOptions = {},
  ): Promise<ReceiverGroup> {
    if (onSucceeded) this.#listeners.set(group, onSucceeded);
    const call: Call = { call: 'add', group, behaviour, keepIds, tells: onSucceeded !== undefined, origins };
    return new ReceiverGroup(this, group, (await this.call(call)) as number[]);
  }

  call(call: Call): Promise<unknown> {
    this.#calls += 1;
    const nr = this.#calls;
    return new Promise((resolve) => {
      this.#waiting.set(nr, resolve);
      this.#child.send({ ...call, nr });
    });
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}

export class ReceiverGroup {
  readonly #receivers: Receivers;
  readonly #group: string;
  readonly #ports: number[];

  constructor(receivers: Receivers, group: string, ports: number[]) {
    this.#receivers = receivers;
    this.#group = group;
    this.#ports = ports;
  }

  /** Of the group's n-th endpoint, from 0. */
  url(n: number): string {
    return `http://127.0.0.1:${this.#ports[n % this.#ports.length]}/${this.#group}/${n}`;
  }

  /** From now on; what hangs already stays so. */
  async behave(behaviour: Behaviour): Promise<void> {
    await this.#receivers.call({ call: 'behave', group: this.#group, behaviour });
  }

  counts(): Promise<Counts> {
    return this.#receivers.call({ call: 'counts', group: this.#group }) as Promise<Counts>;
  }

  arrivals(): Promise<Arrivals> {
    return this.#receivers.call({ call: 'arrivals', group: this.#group }) as Promise<Arrivals>;
  }

  /** Begins to record anew. */
  async forget(): Promise<void> {
    await this.#receivers.call({ call: 'forget', group: this.#group });
  }
}
