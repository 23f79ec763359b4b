import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { stopAfterAll } from './cleanup.ts';
import { PATIENCE_MS } from './patience.ts';
import { tailOfProcesses } from './processes.ts';

/** A request as it came in. */
export type ReceivedRequest = {
  method: string;
  /** Path and query, verbatim. */
  path: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** Names and values in turn, verbatim and in order, as node:http gives them. */
  rawHeaders: string[];
  body: Buffer;
  text: string;
  /** When its head had arrived, ms since the epoch. */
  at: number;
};

/** What to answer. */
export type Response =
  | number
  | { status: number; headers?: Record<string, string>; body?: string | Buffer }
  /** Never answers. */
  | 'hang'
  /** Sends the head, then a byte of the body at a time, for ever. */
  | 'drip'
  /** Sends the head, then body as fast as it is taken, for ever. */
  | 'flood'
  /** Cuts the connection. */
  | 'reset';
/** `nth` counts the requests to this path from 1. A promise answers when it resolves: so a test can hold one. */
export type Responder = Response | ((request: ReceivedRequest, nth: number) => Response | Promise<Response>);

/** One answer after the other, the last one again and again. */
export function inTurn(...answers: [Response, ...Response[]]): Responder {
  return (_, nth) => answers[Math.min(nth, answers.length) - 1] ?? answers[0];
}

const DRIP_MS = 100;

/** A real HTTP server that records every request verbatim and answers as it is told. */
export class Receiver {
  readonly requests: ReceivedRequest[] = [];
  readonly #server: Server;
  readonly #responders = new Map<string, Responder>();
  readonly #counts = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  readonly #sockets = new Set<Socket>();
  #default: Responder = 200;
  /** Connections ever accepted. */
  connections = 0;

  private constructor() {
    this.#server = createServer((request, response) => void this.#receive(request, response));
    this.#server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens on a free port of 127.0.0.1, or where it is told. */
  static async listen({ host = '127.0.0.1', port = 0 } = {}): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve, reject) => {
      receiver.#server.once('error', reject);
      receiver.#server.listen(port, host, resolve);
    });
    stopAfterAll(() => receiver.stop());
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  url(path = '/'): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Connections open now. */
  get openConnections(): number {
    return this.#sockets.size;
  }

  /** How to answer from now on: at one path, or wherever nothing else was said. */
  respond(responder: Responder): void;
  respond(path: string, responder: Responder): void;
  respond(...args: [Responder] | [string, Responder]): void {
    if (args.length === 2) this.#responders.set(args[0], args[1]);
    else this.#default = args[0];
  }

  /** The requests to one path (without its query), in the order of their arrival. */
  to(path: string): ReceivedRequest[] {
    return this.requests.filter((request) => pathOnly(request.path) === path);
  }

  /** Resolves with the first `count` requests (to `path`) as soon as they are in. */
  waitForRequests(
    count: number,
    { path, timeoutMs = PATIENCE_MS }: { path?: string; timeoutMs?: number } = {},
  ): Promise<ReceivedRequest[]> {
    const matching = () => (path === undefined ? this.requests : this.to(path));
    return new Promise((resolve, reject) => {
      const look = () => {
        if (matching().length < count) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(matching().slice(0, count));
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const where = path === undefined ? '' : ` to ${path}`;
        const got = `${matching().length} of ${count} requests${where} came in ${timeoutMs} ms`;
        reject(new Error(`${got}\n${tailOfProcesses()}`));
      }, timeoutMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** Forgets what came in, and thereby also how many times each path was asked. */
  clear(): void {
    this.requests.length = 0;
    this.#counts.clear();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #receive(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {}); // the sender gives up on some of the answers below
    const at = Date.now();
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return; // cut off before it was complete: not received
    }
    const body = Buffer.concat(chunks);
    const request: ReceivedRequest = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers as Record<string, string>,
      rawHeaders: incoming.rawHeaders,
      body,
      text: body.toString('utf8'),
      at,
    };
    this.requests.push(request);
    const path = pathOnly(request.path);
    const nth = (this.#counts.get(path) ?? 0) + 1;
    this.#counts.set(path, nth);
    for (const look of [...this.#waiting]) look();
    const responder = this.#responders.get(path) ?? this.#default;
    answer(response, typeof responder === 'function' ? await responder(request, nth) : responder);
  }
}

/** Throws unless the request is signed with the secret: Standard Webhooks' own library, as a receiver would. */
export function verifySignature(request: ReceivedRequest, secret: string): void {
  new Webhook(secret).verify(request.text, request.headers, { jsonParse: false });
}

function answer(response: ServerResponse, how: Response): void {
  if (how === 'hang') return;
  if (how === 'reset') response.socket?.resetAndDestroy();
  else if (how === 'drip') drip(response);
  else if (how === 'flood') flood(response);
  else if (typeof how === 'number') response.writeHead(how).end();
  else response.writeHead(how.status, how.headers).end(how.body);
}

function drip(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/plain' });
  const timer = setInterval(() => response.write('.'), DRIP_MS);
  response.on('close', () => clearInterval(timer));
}

function flood(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/plain' });
  const chunk = Buffer.alloc(64 * 1024, '.');
  const pour = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', pour);
  pour();
}

function pathOnly(path: string): string {
  return path.split('?')[0] ?? path;
}
