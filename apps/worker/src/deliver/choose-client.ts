import type { HttpClient, HttpClientOptions } from './http-client.ts';

/** What `HTTP_CLIENT` may name, the default first. */
export const HTTP_CLIENTS = ['got', 'undici'] as const;
export type HttpClientName = (typeof HTTP_CLIENTS)[number];

/** Makes the client of this name. The other one's library is not loaded. */
export async function createHttpClient(
  name: HttpClientName,
  options: HttpClientOptions,
): Promise<HttpClient> {
  if (name === 'undici') return (await import('./undici-client.ts')).createUndiciClient(options);
  return (await import('./got-client.ts')).createGotClient(options);
}
