import http from 'node:http';
import https from 'node:https';
import got, { type Got } from 'got';
import type { Problem } from './api-types.ts';
import { fromProblem, PublishError } from './errors.ts';
import type { Settings } from './options.ts';
import { readRetryAfter } from './retry-delay.ts';

/** The API, over connections that are kept; idle ones keep no process alive. */
export class Http {
  readonly got: Got;
  readonly #agents: { http: http.Agent; https: https.Agent };

  constructor({ url, key, app }: Settings) {
    this.#agents = {
      http: new http.Agent({ keepAlive: true }),
      https: new https.Agent({ keepAlive: true }),
    };
    this.got = got.extend({
      prefixUrl: `${url.replace(/\/+$/, '')}/v1/apps/${encodeURIComponent(app)}`,
      agent: this.#agents,
      headers: { authorization: `Bearer ${key}`, 'user-agent': 'sealpost-client' },
      // What to repeat is decided for batches and streams alike, by send-batch.ts and publish-stream.ts.
      retry: { limit: 0 },
      throwHttpErrors: false,
      // The key would go along.
      followRedirect: false,
      decompress: false,
    });
  }

  close(): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }
}

type Answer = { statusCode: number; headers: http.IncomingHttpHeaders };

/** What an answer other than a 202 means. */
export function problemOf({ statusCode, headers }: Answer, text: string): PublishError {
  const retryAfterSeconds = readRetryAfter(headers['retry-after'], Date.now());
  const problem = parse(text);
  if (isProblem(problem)) return fromProblem(problem, retryAfterSeconds);
  // A load balancer's, say: its status tells whether to try again.
  return new PublishError(
    'unexpected_answer',
    `An answer with status ${statusCode} that is not Sealpost's.`,
    {
      status: statusCode,
      retryAfterSeconds,
    },
  );
}

/** Undefined where it is no JSON. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isProblem(value: unknown): value is Problem {
  const problem = value as Problem | null | undefined;
  return typeof problem?.code === 'string' && typeof problem.status === 'number';
}

export function unreachable(cause: unknown): PublishError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new PublishError('unreachable', `The API gave no answer: ${reason}`, { cause });
}
