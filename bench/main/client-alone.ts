import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { eventText } from '../harness/publish.ts';
import type { Receivers } from '../harness/receivers.ts';
import type { Measured, Order } from '../http-clients/client-process.ts';
import type { Sample } from './rounds.ts';

/** An HTTP client in a process of its own that does nothing else, against the receivers of all. */
export class ClientAlone {
  readonly #client: string;
  readonly #url: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  private constructor(client: string, url: string) {
    this.#client = client;
    this.#url = url;
    this.#child = fork(join(import.meta.dirname, '..', 'http-clients', 'client-process.ts'));
    this.#ended = once(this.#child, 'exit').then(() => {
      throw new Error(`the process of ${client} ended`);
    });
    this.#ended.catch(() => {}); // told to whoever waits for a message
  }

  /** @param client as `bench/http-clients/clients.ts` calls it */
  static async start(client: string, receivers: Receivers): Promise<ClientAlone> {
    const group = await receivers.add(client.replaceAll(/\W+/g, '-'), { answer: 200 });
    return new ClientAlone(client, group.url(0));
  }

  async post(requests: number, atOnce: number): Promise<Sample> {
    const body = eventText('order.created', 1);
    this.#child.send({ client: this.#client, url: this.#url, requests, atOnce, body } satisfies Order);
    const [message] = await Promise.race([once(this.#child, 'message'), this.#ended]);
    const { cpuUs, seconds } = message as Measured;
    return { cpu: { client: cpuUs }, perSecond: requests / seconds };
  }

  stop(): void {
    this.#child.disconnect();
  }
}
