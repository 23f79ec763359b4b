import type { Reason } from '@sealpost/core';

/** Why nothing may be posted to this URL, whatever its host is; undefined where something may. */
export function refuseUrl(url: URL | null, allowHttp: boolean): Reason | undefined {
  if (!url || url.username || url.password) return 'unacceptable_url';
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return 'unacceptable_url';
  return allowHttp ? undefined : 'https_required';
}
