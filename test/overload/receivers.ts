import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { stopAfterAll } from '../harness/cleanup.ts';
import type { Arrived } from './receiver-process.ts';

/** The process with all receivers, seen from the test. */
export class Receivers {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #calls = 0;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    child.on('message', ({ nr, result }: { nr: number; result: unknown }) => {
      this.#waiting.get(nr)?.(result);
      this.#waiting.delete(nr);
    });
  }

  static async start(): Promise<Receivers> {
    const child = fork(join(import.meta.dirname, 'receiver-process.ts'), { execArgv: [] });
    stopAfterAll(async () => {
      if (child.connected) child.disconnect();
    });
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => resolve(message.port));
      child.once('exit', (code) => reject(new Error(`the receivers ended with ${code}`)));
    });
    return new Receivers(child, port);
  }

  arrived(): Promise<Arrived> {
    return this.#call({}) as Promise<Arrived>;
  }

  /** How many of the deliveries of the first `events` events, each to `fanOut` endpoints, have not arrived. */
  missing(events: number, fanOut: number): Promise<number> {
    return this.#call({ missing: { events, fanOut } }) as Promise<number>;
  }

  #call(call: object): Promise<unknown> {
    this.#calls += 1;
    const nr = this.#calls;
    return new Promise((resolve) => {
      this.#waiting.set(nr, resolve);
      this.#child.send({ ...call, nr });
    });
  }
}
