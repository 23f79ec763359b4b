import type { Answer, Loose } from '../harness/index.ts';
import { ApiClient } from '../harness/index.ts';
import { withoutEllipsis } from './documents.ts';

/** A request as a document writes it: `POST /path`, headers, and JSON if it has a body. */
export type DocumentedRequest = {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: string;
};

/** Reads a request out of a code block; `{name}` in its path and headers becomes `values.name`, which must be there. */
export function parseRequest(code: string, values: Record<string, string> = {}): DocumentedRequest {
  const start = code.search(/^\{/m);
  const head = start === -1 ? code : code.slice(0, start);
  const [first = '', ...lines] = head
    .trim()
    .split('\n')
    .map((line) => fill(line, values));
  const [, method, path] = /^([A-Z]+) (\/\S*)$/.exec(first) ?? [];
  if (!method || !path) throw new Error(`No request: ${first}`);
  const headers: Record<string, string> = {};
  for (const line of lines.filter((text) => text.trim() !== '')) {
    const [, name, value] = /^([A-Za-z-]+): (.*)$/.exec(line) ?? [];
    if (!name || value === undefined) throw new Error(`No header: ${line}`);
    headers[name] = value;
  }
  return { method, path, headers, ...(start === -1 ? {} : { body: withoutEllipsis(code.slice(start)) }) };
}

function fill(line: string, values: Record<string, string>): string {
  return line.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`Nothing to put in place of {${name}}`);
    return value;
  });
}

/**
 * Sends it below a base URL, which is all that a client of the system changes. Where the document has no key the one
 * given is sent; where it has no content type, that of JSON.
 */
export function send(base: string, key: string, request: DocumentedRequest): Promise<Answer<Loose>> {
  return new ApiClient(base, key).request(request.method, request.path, request.body, request.headers);
}
