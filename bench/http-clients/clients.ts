import http from 'node:http';
import { AddressPolicy } from '@sealpost/core';
import { createHttpClient, type HttpClientName } from '@sealpost/worker/http-client';
import got, { type Got } from 'got';
import { Agent, request } from 'undici';

/** Posts once and resolves when the answer was read. */
export type Post = (url: string, headers: Record<string, string>, body: string) => Promise<unknown>;

const TIMEOUT_MS = 30_000;

/** What is measured: Sealpost's two clients, and what their libraries cost as anyone would call them. */
export const CLIENTS: Record<string, () => Promise<Post>> = {
  'node:http, bare': bareNode,
  'undici, as usually called': usualUndici,
  'got, as usually called': usualGot,
  'got, as lean as it goes': leanGot,
  'HTTP_CLIENT=undici': () => ofSealpost('undici'),
  'HTTP_CLIENT=got': () => ofSealpost('got'),
};

async function ofSealpost(name: HttpClientName): Promise<Post> {
  const client = await createHttpClient(name, {
    policy: new AddressPolicy(['127.0.0.0/8']),
    allowHttp: true,
  });
  return async (url, headers, body) => {
    const { reason } = await client.post({ url, headers, body, timeoutMs: TIMEOUT_MS });
    if (reason !== 'none') throw new Error(`${name}: ${reason}`);
  };
}

/** No guard, no cap, no deadline, no phases. */
async function bareNode(): Promise<Post> {
  const agent = new http.Agent({ keepAlive: true });
  return (url, headers, body) =>
    new Promise((resolve, reject) => {
      const length = { 'content-length': Buffer.byteLength(body) };
      const post = http.request(url, { agent, method: 'POST', headers: { ...headers, ...length } });
      post.once('response', (response) => response.resume().once('end', resolve));
      post.once('error', reject);
      post.end(body);
    });
}

async function usualUndici(): Promise<Post> {
  const dispatcher = new Agent();
  return async (url, headers, body) => {
    const answer = await request(url, { dispatcher, method: 'POST', headers, body });
    await answer.body.text();
  };
}

async function usualGot(): Promise<Post> {
  const agent = { http: new http.Agent({ keepAlive: true }) };
  return (url, headers, body) => got.post(url, { agent, headers, body, timeout: { request: TIMEOUT_MS } });
}

/**
 * The least that got costs: a stream, headers that all requests share, and node:http without what got would ask of it.
 * No guard, no cap, no deadline, no phases.
 */
async function leanGot(): Promise<Post> {
  const agent = new http.Agent({ keepAlive: true });
  let lean: Got | undefined;
  return (url, headers, body) => {
    lean ??= got.extend({
      method: 'POST',
      headers,
      decompress: false,
      followRedirect: false,
      retry: { limit: 0 },
      request: ({ hostname: host, port, pathname: path }, { method, headers }) =>
        http.request({ agent, host, port, path, method: method!, headers: headers! }),
    });
    return new Promise((resolve, reject) => {
      lean!.stream(url, { body }).once('end', resolve).once('error', reject).resume();
    });
  };
}
