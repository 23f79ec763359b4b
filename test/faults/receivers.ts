import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Answer, Character } from './characters.ts';
import type { Random } from './random.ts';

/** A request as it came in, and what became of it. */
export type SeenRequest = {
  /** Its place among all; told in the answer's header `x-request`, which the attempt's record keeps. */
  no: number;
  /** Name of the character. */
  receiver: string;
  /** `webhook-id`. */
  event: string;
  /** When it was complete, ms of the harness' own clock. */
  at: number;
  /** Not the first on its connection. */
  reused: boolean;
  /** What was answered; `none`: nothing yet, or the sender went away before. */
  outcome: number | 'reset' | 'none';
  endedAt: number | undefined;
  /** Why it cannot have been sent by Sealpost as it should. */
  wrong: string | undefined;
  /** For operators: what the event told. */
  told?: { type: string; data: Record<string, unknown> };
};

/** All receivers of a run: one server, a path for each. */
export class Receivers {
  readonly requests: SeenRequest[] = [];
  /** From now on each of them is good. */
  allGood = false;
  readonly #server: Server;
  readonly #random: Random;
  readonly #characters = new Map<string, { character: Character; secret: string | undefined }>();
  readonly #served = new WeakMap<Socket, number>();

  private constructor(random: Random) {
    this.#random = random;
    this.#server = createServer((request, response) => void this.#receive(request, response));
    this.#server.keepAliveTimeout = 300_000; // closing connections is the business of faults
  }

  static async listen(random: Random): Promise<Receivers> {
    const receivers = new Receivers(random);
    await new Promise<void>((resolve) => receivers.#server.listen(0, '127.0.0.1', resolve));
    return receivers;
  }

  url({ name }: Character): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}`;
  }

  /** @param secret `whsec_…` with which its deliveries must be signed */
  add(character: Character, secret: string | undefined): void {
    this.#characters.set(character.name, { character, secret });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #receive(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const served = this.#served.get(incoming.socket) ?? 0;
    this.#served.set(incoming.socket, served + 1);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return; // cut off before it was complete: not received
    }
    const known = this.#characters.get((incoming.url ?? '').slice(1));
    const body = Buffer.concat(chunks).toString();
    const request: SeenRequest = {
      no: this.requests.length,
      receiver: known?.character.name ?? `? ${incoming.url}`,
      event: String(incoming.headers['webhook-id']),
      at: Date.now(),
      reused: served > 0,
      outcome: 'none',
      endedAt: undefined,
      wrong: known ? whatIsWrong(incoming, body, known.secret) : 'nobody is there',
    };
    if (known?.character.name === 'operators')
      request.told = JSON.parse(body) as SeenRequest['told'] & object;
    this.requests.push(request);
    response.on('close', () => {
      request.endedAt ??= Date.now();
    });
    const how = this.allGood || !known ? undefined : known.character.answer(this.#random, request.at);
    const reply = () => answer(request, response, how?.answer ?? { status: 200 });
    if (how && how.afterMs > 0) setTimeout(reply, how.afterMs);
    else reply();
  }
}

function answer(request: SeenRequest, response: ServerResponse, how: Answer): void {
  if (how === 'hang' || response.destroyed) return;
  if (how === 'reset') {
    request.outcome = 'reset';
    request.endedAt = Date.now();
    response.socket?.resetAndDestroy();
    return;
  }
  request.outcome = how.status;
  request.endedAt = Date.now();
  response.writeHead(how.status, { ...how.headers, 'x-request': String(request.no) }).end();
}

/** Signed as it should be, and with the payload of its event. Not by a library: it would refuse a shifted clock. */
function whatIsWrong(
  incoming: IncomingMessage,
  body: string,
  secret: string | undefined,
): string | undefined {
  const { headers } = incoming;
  const id = String(headers['webhook-id']);
  if (secret) {
    const signed = `${id}.${headers['webhook-timestamp']}.${body}`;
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    const expected = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
    if (headers['webhook-signature'] !== expected) return 'its signature is wrong';
  }
  try {
    const { data } = JSON.parse(body) as { data: { id?: string } };
    if (data.id !== undefined && data.id !== id) return `its payload is that of event ${data.id}`;
  } catch {
    return 'its body is no JSON';
  }
  return undefined;
}
