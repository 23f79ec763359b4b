import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DemoApi } from './demo-api.ts';
import { DemoReceiver, type EndpointName } from './demo-receiver.ts';
import { DemoView, describeAttempt, type Row, table } from './demo-view.ts';
import { LauncherError, runMain } from './launcher-error.ts';
import type { LocalStack } from './local-stack.ts';
import { ERROR } from './log-view.ts';
import { runSession } from './session.ts';

const ENDPOINTS: EndpointName[] = ['good', 'flaky', 'dead'];
const EVENT_TYPES = ['order.created', 'order.paid', 'order.shipped'];
const EVENTS_PER_SECOND = 2;
/** Retries come after 0.5, 1 and 2 s; what was published last is through well within this time. */
const SETTLE_SECONDS = 15;

const view = new DemoView(process.stdout);
const say = (line: string) => view.say(line);

/** `npm run demo`: three receivers, traffic, and what happens to each, seen only through the public API. */
class Demo {
  readonly #api: DemoApi;
  readonly #began = Date.now();
  readonly #rows: (Row & { id: string })[] = [];
  #published = 0;

  constructor(stack: LocalStack) {
    this.#api = new DemoApi(stack.apiUrl, stack.apiKey);
  }

  /** Publishes for `seconds` or until stopped, waits for what is under way, and sums up. */
  async run(port: number, seconds: number, stop: AbortSignal): Promise<void> {
    const receiver = await DemoReceiver.listen(port, (attempt) => {
      const row = this.#rows.find(({ endpoint }) => endpoint === attempt.endpoint);
      if (!row) return;
      row.attempts += 1;
      if (attempt.verified) row.verified += 1;
      view.happened(this.#seconds(), describeAttempt(attempt));
    });
    try {
      await this.#createEndpoints(receiver);
      while (!stop.aborted && this.#seconds() < seconds) await this.#publishAndLook(seconds);
      await this.#settle();
      this.#sumUp();
    } finally {
      receiver.close();
    }
  }

  async #settle(): Promise<void> {
    const deadline = Date.now() + SETTLE_SECONDS * 1000;
    await this.#look('waiting for the last retries');
    while (this.#rows.some(({ retrying, closed }) => retrying > 0 && !closed) && Date.now() < deadline) {
      await delay(250);
      await this.#look('waiting for the last retries');
    }
    await this.#look('done');
  }

  async #createEndpoints(receiver: DemoReceiver): Promise<void> {
    await this.#api.prepareApp();
    for (const endpoint of ENDPOINTS) {
      const { id, secret } = await this.#api.createEndpoint(endpoint, `${receiver.url}/${endpoint}`);
      receiver.secrets.set(endpoint, secret);
      this.#rows.push({
        id,
        endpoint,
        attempts: 0,
        verified: 0,
        delivered: 0,
        retrying: 0,
        dead: 0,
        closed: false,
      });
    }
  }

  async #publishAndLook(seconds: number): Promise<void> {
    const number = this.#published + 1;
    const type = EVENT_TYPES[this.#published % EVENT_TYPES.length] ?? 'order.created';
    const id = await this.#api.publish(type, { order: number });
    this.#published = number;
    view.happened(this.#seconds(), `published ${type}  ${id}`);
    await this.#look(
      Number.isFinite(seconds) ? `${Math.ceil(seconds - this.#seconds())} s left` : 'Ctrl-C ends it',
    );
    await delay(1000 / EVENTS_PER_SECOND);
  }

  /** Asks the API how the deliveries stand, and shows it. */
  async #look(note: string): Promise<void> {
    for (const row of this.#rows) {
      const { counts, lane } = await this.#api.stats(row.id);
      const { dead = 0, delivered = 0, pending = 0, retrying = 0 } = counts;
      if (dead > row.dead) view.happened(this.#seconds(), `${row.endpoint.padEnd(5)}  ${dead} dead so far`);
      const isClosed = lane.state === 'closed';
      if (isClosed && !row.closed) {
        view.happened(
          this.#seconds(),
          `${row.endpoint.padEnd(5)}  its lane has closed: it is probed now and then`,
        );
      }
      Object.assign(row, { dead, delivered, retrying: pending + retrying, closed: isClosed });
    }
    view.draw(`Sealpost demo: ${this.#published} events published, ${note}`, this.#rows);
  }

  #sumUp(): void {
    const lines = this.#rows.map(({ endpoint, attempts, verified, delivered, dead, retrying, closed }) => {
      const trust =
        verified === attempts ? 'every signature valid' : `${attempts - verified} signatures NOT valid`;
      const waiting = closed ? `, ${retrying} wait in its lane, which has closed` : '';
      return `  ${endpoint.padEnd(5)}  ${delivered} delivered, ${dead} dead, in ${attempts} attempts, ${trust}${waiting}`;
    });
    const plain = process.stdout.isTTY ? [] : ['', ...table(this.#rows)];
    view.finish(
      [...plain, '', `${this.#published} events were published to 3 endpoints:`, ...lines].join('\n'),
    );
  }

  #seconds(): number {
    return (Date.now() - this.#began) / 1000;
  }
}

function parseSeconds(args: string[]): string | undefined {
  try {
    return parseArgs({ args, options: { seconds: { type: 'string' } } }).values.seconds;
  } catch (error) {
    throw new LauncherError(`${(error as Error).message}\nUsage: npm run demo [-- --seconds N]`);
  }
}

/** How long to send traffic; until Ctrl-C where somebody watches. */
function secondsFrom(args: string[]): number {
  const given = parseSeconds(args);
  if (given === undefined) return process.stdout.isTTY ? Number.POSITIVE_INFINITY : 20;
  const seconds = Number(given);
  if (!(seconds > 0)) throw new LauncherError('--seconds must be a number greater than 0.');
  return seconds;
}

await runMain(async () => {
  const seconds = secondsFrom(process.argv.slice(2));
  const dataDir = process.env.SEALPOST_DATA_DIR || join(import.meta.dirname, '..', '.sealpost', 'demo');
  await runSession({
    dataDir,
    say,
    logLevel: ERROR, // that deliveries die is the demo's subject, and no news
    run: async (stack, stop) => new Demo(stack).run(await stack.ports.free(8090), seconds, stop),
  });
});
