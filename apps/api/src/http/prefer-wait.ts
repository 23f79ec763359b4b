/** Longest `Prefer: wait`, seconds. */
const MAX_WAIT_SECONDS = 30;

/** `Prefer: wait=N` (RFC 7240 §4.3) in seconds, 30 at most; undefined when it is not asked for. */
export function preferredWait(header: string | undefined): number | undefined {
  const match = /(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:[,;]|$)/i.exec(header ?? '');
  return match ? Math.min(Number(match[1]), MAX_WAIT_SECONDS) : undefined;
}
