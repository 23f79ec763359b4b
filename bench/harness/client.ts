import { Agent, request } from 'node:http';
import { now } from './clock.ts';

export type Answer = {
  status: number;
  /** When its status came, by the shared clock. */
  at: number;
  text: string;
};

// biome-ignore lint/suspicious/noExplicitAny: a benchmark reads a field or two of each answer
type Loose = any;

/** The API over kept connections; as cheap as can be, since it runs on the machine that is measured. */
export class Client {
  readonly #url: URL;
  readonly #key: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(url: string, key: string) {
    this.#url = new URL(url);
    this.#key = key;
  }

  send(method: string, path: string, body?: string, contentType = 'application/json'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: this.#url.hostname,
          port: this.#url.port,
          agent: this.#agent,
          method,
          path,
          headers: {
            authorization: `Bearer ${this.#key}`,
            ...(body === undefined
              ? {}
              : { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }),
          },
        },
        (response) => {
          const at = now();
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, at, text: Buffer.concat(chunks).toString() }),
          );
        },
      );
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        // The server had just closed a connection that was idle for long.
        const isStale = outgoing.reusedSocket && error.code === 'ECONNRESET';
        if (isStale) resolve(this.send(method, path, body, contentType));
        else reject(error);
      });
      outgoing.end(body);
    });
  }

  /** @throws Error unless it is answered with 2xx */
  async must(method: string, path: string, body?: object): Promise<Loose> {
    const answer = await this.send(method, path, body && JSON.stringify(body));
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.text && JSON.parse(answer.text);
  }

  async app(app: string, settings: object = {}): Promise<void> {
    await this.must('PUT', `/v1/apps/${app}`, settings);
  }

  /** Its id. */
  async endpoint(app: string, input: object): Promise<string> {
    return (await this.must('POST', `/v1/apps/${app}/endpoints`, input)).id;
  }

  /** Stats of an endpoint; undefined from a Sealpost that has none yet. */
  async stats(app: string, endpoint: string): Promise<Loose> {
    const answer = await this.send('GET', `/v1/apps/${app}/endpoints/${endpoint}/stats`);
    return answer.status === 200 ? JSON.parse(answer.text) : undefined;
  }

  close(): void {
    this.#agent.destroy();
  }
}
