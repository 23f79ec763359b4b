import { Agent, type OutgoingHttpHeaders, request } from 'node:http';

export type RawAnswer = {
  status: number;
  headers: Record<string, string>;
  text: string;
  /** The parsed body; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into bodies of every shape, and asserts what it finds
  json: any;
};

export type RawRequest = {
  method?: string;
  /** Sent as it is: `fetch` would tidy it up. */
  path: string;
  headers?: OutgoingHttpHeaders;
  body?: string | Buffer | undefined;
  /** Where to come from: any address of 127.0.0.0/8, so that a test is not slowed down for what another has sent. */
  from?: string;
};

const agent = new Agent({ keepAlive: true });

/** One request, written as it is given. Rejects when there is no answer. */
export function rawRequest(url: string, { method = 'GET', path, headers, body, from }: RawRequest) {
  const { hostname, port } = new URL(url);
  return new Promise<RawAnswer>((resolve, reject) => {
    const sent = request(
      {
        host: hostname,
        port,
        method,
        path,
        headers: {
          ...(body !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
          ...headers,
        },
        agent: from === undefined ? agent : false,
        ...(from !== undefined && { localAddress: from }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode!,
            headers: response.headers as Record<string, string>,
            text,
            json: parsed(text),
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

let clients = 0;

/** An address of 127.0.0.0/8 that nobody has come from yet. */
export function freshClient(): string {
  clients += 1;
  return `127.77.${clients >> 8}.${clients & 255}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // `text` has it
  }
}
