import { expect } from 'vitest';
import { type Answer, ApiClient, type Loose, type Stack, Tenant } from '../harness/index.ts';
import { parseRequest, send } from './request.ts';

/** A system's own HTTP surface as a client of it sees it: a base URL and a key, which acts in an app of its own. */
export class Compat {
  readonly tenant: Tenant;
  readonly base: string;
  readonly key: string;

  private constructor(tenant: Tenant, base: string, key: string) {
    this.tenant = tenant;
    this.base = base;
    this.key = key;
  }

  /** @param settings of the app, besides its profile */
  static async open(stack: Stack, name: string, settings: object = {}): Promise<Compat> {
    const tenant = await Tenant.create(stack.client, { wire_profile: name, ...settings });
    const made = await stack.client.post(`${tenant.path}/keys`);
    expect(made.status, made.text).toBe(201);
    return new Compat(tenant, `${stack.api.url}/compat/${name}`, made.json.key);
  }

  /** Sends a documented request, which must succeed, and gives the answer's JSON. */
  async replay(code: string, values?: Record<string, string>): Promise<Loose> {
    const request = parseRequest(code, values);
    const answer = await send(this.base, this.key, request);
    expect(Math.floor(answer.status / 100), `${request.method} ${request.path}: ${answer.text}`).toBe(2);
    return answer.json;
  }

  request(method: string, path: string, body?: object): Promise<Answer<Loose>> {
    return new ApiClient(this.base, this.key).request(method, path, body);
  }

  /** A request that must succeed; its answer's JSON. */
  async call(method: string, path: string, body?: object): Promise<Loose> {
    const answer = await this.request(method, path, body);
    expect(Math.floor(answer.status / 100), `${method} ${path}: ${answer.text}`).toBe(2);
    return answer.json;
  }
}
