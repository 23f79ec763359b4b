import type { IncomingHttpHeaders } from 'node:http';
import type { AttemptOutcome, Reason } from '@sealpost/core';
import type { Dispatcher } from 'undici';
import { errorAsNodes, headersAsNodes, isUpgrade } from './as-nodes.ts';
import { AttemptRecord } from './attempt-record.ts';
import { type Connection, Connections } from './connections.ts';
import {
  type HttpClient,
  type HttpClientOptions,
  MAX_INFORMATIONAL,
  type PostRequest,
} from './http-client.ts';
import { isConnectionLost, nameFailure } from './name-failure.ts';
import { refuseUrl } from './refuse-url.ts';

/** Makes the client on undici: for a fifth of got's CPU time it does the same (decision 008). */
export function createUndiciClient(options: HttpClientOptions): HttpClient {
  const connections = new Connections(options);
  return {
    async post(request) {
      request.signal?.throwIfAborted();
      const url = URL.parse(request.url);
      const refusal = refuseUrl(url, options.allowHttp);
      return refusal ? new AttemptRecord().outcome(refusal) : new Post(connections, url!, request).run();
    },
    close: () => connections.close(),
  };
}

/**
 * One attempt: its deadline, its request (a second one if the first met a stale connection), its outcome. undici tells
 * it what comes; it sets no limits of its own but that of the headers' size.
 */
class Post implements Dispatcher.DispatchHandler {
  readonly #connections: Connections;
  readonly #url: URL;
  readonly #request: PostRequest;
  readonly #record = new AttemptRecord();
  readonly #abort = () => this.#finish(() => this.#reject(this.#request.signal!.reason));
  #resolve!: (outcome: AttemptOutcome) => void;
  #reject!: (reason: unknown) => void;
  #deadline: NodeJS.Timeout | undefined;
  #connection: Connection | undefined;
  #stopWaiting: (() => void) | undefined;
  #onFreshConnection = false;
  #onUsedSocket = false;
  #informational = 0;
  #finished = false;

  constructor(connections: Connections, url: URL, request: PostRequest) {
    this.#connections = connections;
    this.#url = url;
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

  /** undici demands it. Whatever is to be stopped is stopped by its connection, which may not have connected yet. */
  onRequestStart(): void {}

  onResponseStart(_: Dispatcher.DispatchController, statusCode: number, headers: IncomingHttpHeaders): void {
    if (this.#finished) return;
    this.#record.head(statusCode, headersAsNodes(headers));
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    // An endless body says nothing that the status has not said.
    if (!this.#finished && !this.#record.data(chunk)) this.#end();
  }

  onResponseEnd(): void {
    if (this.#finished) return;
    const connection = this.#connection!;
    this.#connection = undefined;
    // Only then has undici closed what may not be kept.
    queueMicrotask(() => connection.release());
    this.#end();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.#finished) return;
    if (isUpgrade(error)) {
      this.#end('response_invalid', 'upgrade');
      return;
    }
    const known = errorAsNodes(error, this.#record);
    const isStale = this.#onUsedSocket && !this.#record.hasAnswer && isConnectionLost(known);
    if (isStale) {
      // The receiver had closed the idle connection. It may have seen the request, yet deliveries are at least
      // once. The next connection is fresh, so never a used one: there is no third try.
      this.#onFreshConnection = true;
      this.#connection?.discard();
      this.#send();
      return;
    }
    const { reason, detail } = nameFailure(known, this.#record.stage);
    this.#end(reason, detail);
  }

  #send(): void {
    this.#stopWaiting = this.#connections.take(this.#url.origin, this.#onFreshConnection, (connection) => {
      this.#stopWaiting = undefined;
      this.#sendOn(connection);
    });
  }

  #sendOn(connection: Connection): void {
    this.#connection = connection;
    const { socket } = connection;
    this.#onUsedSocket = socket !== undefined;
    if (socket) this.#record.watch(socket);
    connection.use({
      onSocket: (fresh) => {
        this.#onUsedSocket = false;
        this.#record.watch(fresh);
      },
      onInformational: () => this.#countInformational(),
    });
    const { headers, body } = this.#request;
    connection.client.dispatch(
      {
        path: this.#url.pathname + this.#url.search,
        method: 'POST',
        // What is received is kept as it is, so it should come uncompressed.
        headers: { 'accept-encoding': 'identity', ...headers },
        body,
      },
      this,
    );
  }

  #countInformational(): void {
    this.#informational += 1;
    if (this.#informational > MAX_INFORMATIONAL) this.#end('response_invalid', 'too_many_informational');
  }

  #end(reason?: Reason, detail?: string): void {
    this.#finish(() => this.#resolve(this.#record.outcome(reason, detail)));
  }

  #finish(settle: () => void): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#deadline);
    this.#request.signal?.removeEventListener('abort', this.#abort);
    this.#stopWaiting?.();
    // Not complete, or it would have been released: nothing else may follow on it.
    this.#connection?.discard();
    settle();
  }
}
