import type { IncomingHttpHeaders } from 'node:http';
import { errors } from 'undici';
import type { Stage } from './name-failure.ts';

/*
 * What undici tells otherwise than node:http, so that an attempt reads the same whatever client made it.
 */

/** Of undici's codes those for which node:http has another. */
const NODE_CODES: Record<string, string> = {
  UND_ERR_SOCKET: 'ECONNRESET', // the other side closed
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'HPE_UNEXPECTED_CONTENT_LENGTH',
  UND_ERR_HEADERS_OVERFLOW: 'HPE_HEADER_OVERFLOW',
  UND_ERR_INVALID_ARG: 'ERR_INVALID_CHAR',
  UND_ERR_NOT_SUPPORTED: 'ERR_INVALID_CHAR',
};

/** The error with the code that node:http, or got, would have given it at this point of the request. */
export function errorAsNodes(error: Error, at: { stage: Stage; hasLength: boolean }): Error {
  const code = nodeCode(error);
  if (at.stage === 'reading' && CUT_SHORT.has(code)) {
    return coded(error, at.hasLength ? 'ERR_HTTP_CONTENT_LENGTH_MISMATCH' : 'ECONNRESET');
  }
  const isNodes = code === undefined || code === (error as NodeJS.ErrnoException).code;
  // As it is, an error of node's may be known by its class.
  return isNodes ? error : coded(error, code);
}

/** What ends a response before its end. */
const CUT_SHORT = new Set<string | undefined>([
  'ECONNRESET',
  'HPE_INVALID_EOF_STATE',
  'HPE_UNEXPECTED_CONTENT_LENGTH',
]);

function coded(error: Error, code: string): Error {
  return Object.assign(new Error(error.message), { code });
}

function nodeCode(error: Error): string | undefined {
  if (error instanceof errors.HTTPParserError) return parserCode(error.message);
  const { code } = error as NodeJS.ErrnoException;
  return code && (NODE_CODES[code] ?? code);
}

/** undici 8.12 gives a parser's error no code, only the reason that llhttp gave, in parentheses. */
const PARSER_CODES: [RegExp, string][] = [
  [/Expected HTTP|Expected dot/, 'HPE_INVALID_CONSTANT'],
  [/version/, 'HPE_INVALID_VERSION'],
  [/status/, 'HPE_INVALID_STATUS'],
  [/Missing expected CR/, 'HPE_CR_EXPECTED'],
  [/(?:Missing expected|Expected) LF/, 'HPE_LF_EXPECTED'],
  [/header token|header field char|header value char/, 'HPE_INVALID_HEADER_TOKEN'],
  [/Transfer-Encoding/, 'HPE_INVALID_TRANSFER_ENCODING'],
  [/Duplicate Content-Length/, 'HPE_UNEXPECTED_CONTENT_LENGTH'],
  [/Content-Length/, 'HPE_INVALID_CONTENT_LENGTH'],
  [/[Cc]hunk/, 'HPE_INVALID_CHUNK_SIZE'],
  [/EOF/, 'HPE_INVALID_EOF_STATE'],
];

function parserCode(message: string): string {
  const reason = message.slice(message.indexOf('(', message.indexOf('protocol')));
  return PARSER_CODES.find(([pattern]) => pattern.test(reason))?.[1] ?? 'HPE_INVALID';
}

/** The receiver switched to another protocol, unasked: undici has no code of its own for that. */
export function isUpgrade(error: Error): boolean {
  return error.message === 'bad upgrade';
}

/** Those of which the first one counts when they are repeated, as in node's documentation of `message.headers`. */
const FIRST_COUNTS = new Set([
  ...['age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host'],
  ...['if-modified-since', 'if-unmodified-since', 'last-modified', 'location', 'max-forwards'],
  ...['proxy-authorization', 'referer', 'retry-after', 'server', 'user-agent'],
]);

/** Headers that are repeated as node:http joins them, where undici gives a list; and cookies always as a list. */
export function headersAsNodes(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  for (const [name, value] of Object.entries(headers)) {
    if (name === 'set-cookie') headers[name] = Array.isArray(value) ? value : [String(value)];
    else if (Array.isArray(value)) headers[name] = FIRST_COUNTS.has(name) ? value[0] : value.join(', ');
  }
  return headers;
}
