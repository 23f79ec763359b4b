import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { now } from './clock.ts';

/*
 * The receivers, in a process of their own so that nothing else delays their clock. The first segment of a path names
 * the group; a group behaves as one and is recorded as one.
 */

export type Behaviour = {
  /** What is answered; `hang`: never anything. */
  answer: number | 'hang';
  /** How long the answer takes, ms. */
  delayMs?: number;
  /** Of every `of` different `webhook-id`s, so many are answered with 500 when they come for the first time. */
  failsFirst?: { count: number; of: number };
};
/** What came in, in order: an entry of each column for every request. */
export type Arrivals = {
  at: number[];
  /** `webhook-id`; empty unless the group keeps ids. */
  ids: string[];
  /** Requests of the group that were open then, this one included. */
  open: number[];
  /** Requests of the group that had been answered with 2xx by then. */
  succeeded: number[];
};
export type Counts = { arrived: number; open: number; mostOpen: number; succeeded: number };
export type Call =
  | { call: 'add'; group: string; behaviour: Behaviour; keepIds: boolean; tells: boolean; origins: number }
  | { call: 'behave'; group: string; behaviour: Behaviour }
  | { call: 'counts'; group: string }
  | { call: 'forget'; group: string }
  | { call: 'arrivals'; group: string };
/** Sent unasked by a group that tells: how many it has answered with 2xx so far. */
export type Told = { group: string; succeeded: number };

/** A load that waits for arrivals waits so much longer, ms; being told of each one would cost more than the rest. */
const TELL_EVERY_MS = 2;

class Group {
  behaviour: Behaviour;
  arrivals: Arrivals = { at: [], ids: [], open: [], succeeded: [] };
  counts: Counts = { arrived: 0, open: 0, mostOpen: 0, succeeded: 0 };
  readonly #keepIds: boolean;
  readonly #tell: ((succeeded: number) => void) | undefined;
  readonly #failed = new Set<string>();
  #ids = 0;
  #telling = false;

  constructor(behaviour: Behaviour, keepIds: boolean, tell?: (succeeded: number) => void) {
    this.behaviour = behaviour;
    this.#keepIds = keepIds;
    this.#tell = tell;
  }

  receive(request: IncomingMessage, response: ServerResponse): void {
    const { arrivals, counts } = this;
    arrivals.at.push(now());
    arrivals.succeeded.push(counts.succeeded);
    counts.arrived += 1;
    counts.open += 1;
    counts.mostOpen = Math.max(counts.mostOpen, counts.open);
    arrivals.open.push(counts.open);
    if (this.#keepIds) arrivals.ids.push(String(request.headers['webhook-id']));
    response.once('close', () => {
      this.counts.open -= 1; // not those of above: they may have been forgotten
      if (!response.writableFinished || response.statusCode >= 300) return;
      this.counts.succeeded += 1;
      this.#tellSoon();
    });
    request.resume();
    request.once('end', () => this.#answer(response, String(request.headers['webhook-id'])));
  }

  forget(): void {
    this.arrivals = { at: [], ids: [], open: [], succeeded: [] };
    this.counts = { arrived: 0, open: this.counts.open, mostOpen: this.counts.open, succeeded: 0 };
  }

  #answer(response: ServerResponse, id: string): void {
    const { answer, delayMs = 0 } = this.behaviour;
    if (answer === 'hang') return;
    const status = this.#failsNow(id) ? 500 : answer;
    const send = () => response.writeHead(status, { 'content-length': 0 }).end();
    if (delayMs > 0) setTimeout(send, delayMs);
    else send();
  }

  #failsNow(id: string): boolean {
    const { failsFirst } = this.behaviour;
    if (!failsFirst || this.#failed.delete(id)) return false;
    const fails = this.#ids % failsFirst.of < failsFirst.count;
    this.#ids += 1;
    if (fails) this.#failed.add(id);
    return fails;
  }

  #tellSoon(): void {
    if (!this.#tell || this.#telling) return;
    this.#telling = true;
    setTimeout(() => {
      this.#telling = false;
      this.#tell!(this.counts.succeeded);
    }, TELL_EVERY_MS);
  }
}

const groups = new Map<string, Group>();

function receive(request: IncomingMessage, response: ServerResponse): void {
  const group = groups.get(request.url?.split('/')[1] ?? '');
  if (group) group.receive(request, response);
  else response.writeHead(404).end();
}

async function listen(): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, receive);
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve));
  return server;
}

async function serve(call: Call): Promise<unknown> {
  if (call.call === 'add') {
    const { group, behaviour, keepIds, tells } = call;
    const tell = (succeeded: number) => void process.send?.({ group, succeeded } satisfies Told);
    groups.set(group, new Group(behaviour, keepIds, tells ? tell : undefined));
    const servers = await Promise.all(Array.from({ length: call.origins }, listen));
    return servers.map((server) => (server.address() as AddressInfo).port);
  }
  const group = groups.get(call.group);
  if (!group) throw new Error(`there is no group ${call.group}`);
  if (call.call === 'behave') group.behaviour = call.behaviour;
  if (call.call === 'forget') group.forget();
  if (call.call === 'arrivals') return group.arrivals;
  return group.counts;
}

process.on('message', (message: Call & { nr: number }) => {
  void serve(message).then((result) => process.send?.({ nr: message.nr, result }));
});
process.on('disconnect', () => process.exit());
// Ctrl-C is for the benchmark, which ends this process by closing the channel.
process.on('SIGINT', () => {});
