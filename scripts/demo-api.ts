import { LauncherError } from './launcher-error.ts';

type Stats = { counts: Record<string, number>; lane: { state: string } };

/** The few calls of the public HTTP API that the demo makes. */
export class DemoApi {
  readonly #url: string;
  readonly #key: string;

  constructor(apiUrl: string, key: string) {
    this.#url = `${apiUrl}/v1/apps/demo`;
    this.#key = key;
  }

  /** Makes the app `demo`, without the endpoints that an earlier demo has left in it. */
  async prepareApp(): Promise<void> {
    await this.#call('PUT', '', { name: 'Demo' });
    const { data } = (await this.#call('GET', '/endpoints?limit=100')) as { data: { id: string }[] };
    for (const { id } of data) await this.#call('DELETE', `/endpoints/${id}`);
  }

  /** Creates an endpoint that is retried three times, soon. */
  async createEndpoint(name: string, url: string): Promise<{ id: string; secret: string }> {
    const retry = { base_seconds: 0.5, max_retries: 3 };
    return (await this.#call('POST', '/endpoints', { name, url, retry })) as { id: string; secret: string };
  }

  /** Publishes one event; returns its id. */
  async publish(type: string, payload: object): Promise<string> {
    return ((await this.#call('POST', '/events', { type, payload })) as { id: string }).id;
  }

  /** How many deliveries of an endpoint have each status, and how its lane stands. */
  async stats(endpointId: string): Promise<Stats> {
    return (await this.#call('GET', `/endpoints/${endpointId}/stats`)) as Stats;
  }

  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(this.#url + path, {
      method,
      headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (!response.ok) {
      throw new LauncherError(`${method} ${this.#url}${path} answers ${response.status}: ${text}`);
    }
    return text ? JSON.parse(text) : undefined;
  }
}
