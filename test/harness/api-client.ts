/** An HTTP answer as a test wants to look at it. */
export type Answer<T = unknown> = {
  status: number;
  headers: Headers;
  text: string;
  /** The parsed body; undefined when it is not JSON. */
  json: T;
};

// biome-ignore lint/suspicious/noExplicitAny: a test looks into bodies of every shape, and asserts what it finds
export type Loose = any;

type Json = string | Uint8Array | object | undefined;

/**
 * Calls the API with a key. A body that is a string or bytes is sent as it is, so that broken and exact JSON can be
 * sent; anything else is made JSON. No answer throws, whatever its status.
 */
export class ApiClient {
  readonly url: string;
  readonly #key: string | undefined;

  constructor(url: string, key?: string) {
    this.url = url;
    this.#key = key;
  }

  /** The same API with another key, or with none. */
  withKey(key: string | undefined): ApiClient {
    return new ApiClient(this.url, key);
  }

  get<T = Loose>(path: string, headers?: Record<string, string>): Promise<Answer<T>> {
    return this.request('GET', path, undefined, headers);
  }

  post<T = Loose>(path: string, body?: Json, headers?: Record<string, string>): Promise<Answer<T>> {
    return this.request('POST', path, body, headers);
  }

  put<T = Loose>(path: string, body?: Json, headers?: Record<string, string>): Promise<Answer<T>> {
    return this.request('PUT', path, body, headers);
  }

  patch<T = Loose>(path: string, body?: Json, headers?: Record<string, string>): Promise<Answer<T>> {
    return this.request('PATCH', path, body, headers);
  }

  delete<T = Loose>(path: string, headers?: Record<string, string>): Promise<Answer<T>> {
    return this.request('DELETE', path, undefined, headers);
  }

  /** `headers` win over the key and the content type that are sent otherwise. */
  async request<T = Loose>(
    method: string,
    path: string,
    body?: Json,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(this.url + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(this.#key ? { authorization: `Bearer ${this.#key}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...lowerCased(headers),
      },
      ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parsed(text) as T };
  }
}

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // `text` has it
  }
}
