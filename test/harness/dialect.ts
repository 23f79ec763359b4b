import { createHmac } from 'node:crypto';
import { expect } from 'vitest';
import type { Answer, ApiClient, Loose } from './api-client.ts';
import type { ReceivedRequest } from './receiver.ts';
import { Tenant } from './tenant.ts';

/** A client of another system, whose base URL was changed to a dialect's and that has an app's key. */
export class DialectClient {
  readonly tenant: Tenant;
  /** Webhooks are here. */
  readonly path: string;
  readonly client: ApiClient;

  private constructor(tenant: Tenant, path: string, client: ApiClient) {
    this.tenant = tenant;
    this.path = path;
    this.client = client;
  }

  /** In an app of its own. @param settings of the app */
  static async open(operator: ApiClient, path: string, settings: object = {}): Promise<DialectClient> {
    const tenant = await Tenant.create(operator, settings);
    const made = await operator.post(`${tenant.path}/keys`, {});
    expect(made.status, made.text).toBe(201);
    return new DialectClient(tenant, path, operator.withKey(made.json.key));
  }

  /** A webhook that must be made. */
  async webhook(input: object): Promise<Loose> {
    const made = await this.post('', input);
    expect(made.status, made.text).toBe(201);
    return made.json;
  }

  get(path = ''): Promise<Answer<Loose>> {
    return this.client.get(this.path + path);
  }

  post(path: string, body?: object | string, headers?: Record<string, string>): Promise<Answer<Loose>> {
    return this.client.post(this.path + path, body, headers);
  }

  put(path: string, body: object): Promise<Answer<Loose>> {
    return this.client.put(this.path + path, body);
  }

  patch(path: string, body: object): Promise<Answer<Loose>> {
    return this.client.patch(this.path + path, body);
  }

  delete(path: string): Promise<Answer<Loose>> {
    return this.client.delete(this.path + path);
  }
}

/** What the four documents' snippets compute: hex of HMAC-SHA256 over the raw body, keyed with all of the secret's text. */
export function hexSignature({ body }: ReceivedRequest, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/**
 * How long a delivery waits from the end of its last attempt to the next one, ms. A few ms more or less are the reading of
 * two clocks; how busy the machine is adds to it.
 */
export function msUntilRetry({ attempts, next_attempt_at }: Loose): number {
  const { started_at, duration_ms } = attempts.at(-1);
  return Date.parse(next_attempt_at) - Date.parse(started_at) - duration_ms;
}

/** The paths of a problem's bad fields. */
export function badFields({ json }: Answer<Loose>): string[] {
  return (json.errors ?? []).map(({ path }: { path: string }) => path);
}

/** Names as they were sent, without those of the connection. */
export function headerNames({ rawHeaders }: ReceivedRequest): string[] {
  const names = rawHeaders.filter((_, i) => i % 2 === 0);
  return names.filter((name) => !/^(host|connection|content-length|accept-encoding)$/i.test(name)).sort();
}
