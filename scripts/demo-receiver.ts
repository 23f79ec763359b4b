import { createServer, type IncomingMessage } from 'node:http';
import { Webhook } from 'standardwebhooks';

export type EndpointName = 'good' | 'flaky' | 'dead';
export type ReceivedAttempt = {
  endpoint: EndpointName;
  eventId: string;
  /** Counted here, by `webhook-id`, from 1. */
  attempt: number;
  verified: boolean;
  status: number;
};

/** What each receiver answers to the nth attempt of one event. */
const ANSWERS: Record<EndpointName, (attempt: number) => number> = {
  good: () => 200,
  flaky: (attempt) => (attempt % 3 === 0 ? 200 : 500),
  dead: () => 503,
};

/** The receiver of the demo: one path per endpoint; verifies with Standard Webhooks' own library. */
export class DemoReceiver {
  readonly url: string;
  /** Each endpoint's secret, as the API gave it. */
  readonly secrets = new Map<EndpointName, string>();
  readonly #attempts = new Map<string, number>();
  readonly #close: () => void;
  readonly #onAttempt: (attempt: ReceivedAttempt) => void;

  private constructor(url: string, close: () => void, onAttempt: (attempt: ReceivedAttempt) => void) {
    this.url = url;
    this.#close = close;
    this.#onAttempt = onAttempt;
  }

  /** Listens on 127.0.0.1; `onAttempt` is called for every request. */
  static listen(port: number, onAttempt: (attempt: ReceivedAttempt) => void): Promise<DemoReceiver> {
    return new Promise((resolve, reject) => {
      let receiver: DemoReceiver;
      const server = createServer(async (request, response) => {
        try {
          response.writeHead(receiver.#answer(request, await bodyOf(request))).end();
        } catch {
          response.destroy(); // the sender went away in the middle of its request
        }
      });
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        const close = () => {
          server.close();
          server.closeAllConnections();
        };
        receiver = new DemoReceiver(`http://127.0.0.1:${port}`, close, onAttempt);
        resolve(receiver);
      });
    });
  }

  close(): void {
    this.#close();
  }

  #answer(request: IncomingMessage, body: string): number {
    const endpoint = (request.url ?? '').slice(1) as EndpointName;
    const answer = ANSWERS[endpoint];
    if (!answer) return 404;
    const eventId = String(request.headers['webhook-id']);
    const key = `${endpoint} ${eventId}`;
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    const verified = this.#verify(endpoint, request, body);
    const status = verified ? answer(attempt) : 401;
    this.#onAttempt({ endpoint, eventId, attempt, verified, status });
    return status;
  }

  #verify(endpoint: EndpointName, request: IncomingMessage, body: string): boolean {
    try {
      new Webhook(this.secrets.get(endpoint) ?? '').verify(body, request.headers as Record<string, string>);
      return true;
    } catch {
      return false; // whatever is wrong with it, a receiver refuses it
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
