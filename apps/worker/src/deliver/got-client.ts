import http from 'node:http';
import type { AttemptOutcome, Reason } from '@sealpost/core';
import got, { type Got, type Request, type Response } from 'got';
import { AttemptRecord } from './attempt-record.ts';
import { createGuardedAgents, type GuardedAgents } from './guarded-agent.ts';
import {
  type HttpClient,
  type HttpClientOptions,
  MAX_INFORMATIONAL,
  type PostRequest,
} from './http-client.ts';
import { isConnectionLost, nameFailure } from './name-failure.ts';
import { refuseUrl } from './refuse-url.ts';

/** What all posts of a client share. */
type Shared = { got: Got; agents: GuardedAgents; posts: WeakMap<URL, Post> };

/**
 * Makes the client on got.
 *
 * got is told to do as little as it can, since most of a post's CPU time is its own: headers and body bypass
 * its options (both are cloned and checked there), and its `request` hook goes straight to node:http. It hands
 * that hook the very URL object of the stream's options, which therefore leads to the post.
 */
export function createGotClient(options: HttpClientOptions): HttpClient {
  const posts = new WeakMap<URL, Post>();
  const agents = createGuardedAgents(options);
  const shared: Shared = {
    posts,
    agents,
    got: got.extend({
      method: 'POST',
      request: (url) => posts.get(url)!.open(url),
      decompress: false,
      followRedirect: false,
      retry: { limit: 0 },
      throwHttpErrors: false,
    }),
  };
  return {
    async post(request) {
      request.signal?.throwIfAborted();
      const refusal = refuseUrl(URL.parse(request.url), options.allowHttp);
      return refusal ? new AttemptRecord().outcome(refusal) : new Post(shared, request).run();
    },
    close: () => agents.close(),
  };
}

/** One attempt: its deadline, its request (a second one if the first met a stale connection), its outcome. */
class Post {
  readonly #shared: Shared;
  readonly #request: PostRequest;
  readonly #record = new AttemptRecord();
  readonly #abort = () => this.#finish(() => this.#reject(this.#request.signal!.reason));
  #resolve!: (outcome: AttemptOutcome) => void;
  #reject!: (reason: unknown) => void;
  #deadline: NodeJS.Timeout | undefined;
  #stream: Request | undefined;
  #native: http.ClientRequest | undefined;
  #onFreshConnection = false;
  #finished = false;

  constructor(shared: Shared, request: PostRequest) {
    this.#shared = shared;
    this.#request = request;
  }

  run(): Promise<AttemptOutcome> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#deadline = setTimeout(() => this.#end('timeout'), this.#request.timeoutMs);
      this.#request.signal?.addEventListener('abort', this.#abort);
      this.#send();
    });
  }

  /** Called by got, once it is ready to send. */
  open(url: URL): http.ClientRequest {
    const protocol = url.protocol as 'http:' | 'https:';
    const { agents } = this.#shared;
    const { headers, body } = this.#request;
    const native = http.request({
      agent: (this.#onFreshConnection ? agents.fresh : agents.kept)[protocol],
      protocol,
      host: url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname,
      port: url.port,
      path: url.pathname + url.search,
      method: 'POST',
      // What is received is kept as it is, so it should come uncompressed.
      headers: { 'accept-encoding': 'identity', ...headers, 'content-length': Buffer.byteLength(body) },
    });
    this.#native = native;
    native.once('socket', (socket) => this.#record.watch(socket));
    this.#refuseOddities(native);
    return native;
  }

  #send(): void {
    const stream = this.#shared.got.stream(this.#request.url);
    this.#stream = stream;
    this.#shared.posts.set(stream.options.url as URL, this);
    stream.once('response', (response: Response) => {
      this.#record.head(response.statusCode, response.headers);
    });
    stream.on('data', (chunk: Buffer) => {
      // An endless body says nothing that the status has not said.
      if (!this.#record.data(chunk)) this.#end();
    });
    stream.once('end', () => this.#end());
    stream.on('error', (error: Error) => this.#fail(error));
    stream.end(this.#request.body);
  }

  /** What node leaves to its user and a receiver could abuse. */
  #refuseOddities(native: http.ClientRequest): void {
    let informational = 0;
    native.on('information', () => {
      informational += 1;
      if (informational > MAX_INFORMATIONAL) this.#end('response_invalid', 'too_many_informational');
    });
    // got listens for this event and then ignores it, upon which node leaves the socket open for ever.
    native.once('upgrade', (_response, socket) => {
      socket.destroy();
      this.#end('response_invalid', 'upgrade');
    });
  }

  #fail(error: Error): void {
    if (this.#finished) return;
    const isStale = this.#native?.reusedSocket && !this.#record.hasAnswer && isConnectionLost(error);
    if (isStale) {
      // The receiver had closed the idle connection. It may have seen the request, yet deliveries are at least
      // once. The next connection is fresh, so never a used one: there is no third try.
      this.#onFreshConnection = true;
      this.#send();
      return;
    }
    const { reason, detail } = nameFailure(error, this.#record.stage);
    this.#end(reason, detail);
  }

  #end(reason?: Reason, detail?: string): void {
    this.#finish(() => this.#resolve(this.#record.outcome(reason, detail)));
  }

  #finish(settle: () => void): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#deadline);
    this.#request.signal?.removeEventListener('abort', this.#abort);
    const isComplete = this.#stream?.readableEnded && this.#native?.writableFinished;
    // An answer may end before the request does; whoever stops reading would hold the socket for ever.
    if (!isComplete) this.#stream?.destroy();
    settle();
  }
}
