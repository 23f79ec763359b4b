import { SHA256_HEX } from './signature.ts';
import type { WireProfileData } from './wire-profile.ts';

/** TaskFlow, "Webhook Payload", "Common Headers", "Retry Logic", "Webhook Fields", "Rate Limits". */
export const taskflow: WireProfileData = {
  name: 'taskflow',
  headers: {
    signature: 'X-TaskFlow-Signature',
    event: 'X-TaskFlow-Event',
    delivery: 'X-TaskFlow-Delivery-ID',
  },
  signature: SHA256_HEX,
  envelope: {
    type: 'type',
    request_id: { attribute: 'request_id' },
    timestamp: 'timestamp',
    payload: 'payload',
  },
  timestamps: 'seconds',
  // 2, 4, 8 s
  retry: {
    strategy: 'exponential',
    base_seconds: 2,
    factor: 2,
    max_delay_seconds: 60,
    max_retries: 3,
    retry_on: 'non_2xx',
  },
  timeoutSeconds: 30,
  rateLimit: { limit: 1000, period_seconds: 3600, over: 'hold' },
  limits: { maxEndpoints: 10, maxRetries: 10, timeoutSeconds: { min: 5, max: 300 } },
  disableIdle: true,
};
