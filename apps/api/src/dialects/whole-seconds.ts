/** A time as the dialects write it: RFC 3339 in UTC, `2025-01-15T10:30:00Z`. @param ms since the epoch */
export function wholeSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
