import type { Reason } from '@sealpost/core';
import { AddressBlockedError, NameLookupError } from './guarded-agent.ts';

/** How far a request had come when it failed. */
export type Stage = 'connecting' | 'securing' | 'waiting' | 'reading';

/** Why an attempt failed; `detail` is an error code, so it holds no address, URL or secret. */
export type Failure = { reason: Reason; detail: string };

const BAD_HEADER = new Set([
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
  'ERR_HTTP_INVALID_HEADER_VALUE',
  'ERR_UNESCAPED_CHARACTERS',
]);

/** Names the failure that ended a request in `stage`. Total: an error that it does not know is the network's. */
export function nameFailure(error: unknown, stage: Stage): Failure {
  const cause = rootOf(error);
  const detail = codeOf(cause);
  if (cause instanceof AddressBlockedError) return { reason: 'address_blocked', detail };
  if (cause instanceof NameLookupError) return { reason: 'dns_failed', detail };
  if (BAD_HEADER.has(detail)) return { reason: 'config_invalid', detail };
  // A parser error, or a response that ends before its announced end (RFC 9112 section 8).
  if (detail.startsWith('HPE_') || stage === 'reading') return { reason: 'response_invalid', detail };
  // TLS 1.3 tells of a refused client certificate only after the handshake.
  if (stage === 'securing' || detail.startsWith('ERR_SSL') || detail === 'EPROTO') {
    return { reason: 'tls_failed', detail };
  }
  return { reason: 'connection_failed', detail };
}

/** True for what a connection looks like that its server had closed while it was idle. */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(rootOf(error));
  return code === 'ECONNRESET' || code === 'EPIPE';
}

/** HTTP libraries wrap what node reports in errors of their own; a NameLookupError's cause is the resolver's. */
function rootOf(error: unknown): unknown {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error && !(root instanceof NameLookupError)) {
    root = root.cause;
  }
  return root;
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : error.name;
}
