import { SHA256_HEX } from './signature.ts';
import type { WireProfileData } from './wire-profile.ts';

/** AIFAI, "Webhook Payload", "Headers", "Retry Logic", "Environment Variables". */
export const aifai: WireProfileData = {
  name: 'aifai',
  headers: { signature: 'X-AIFAI-Signature', event: 'X-AIFAI-Event' },
  signature: SHA256_HEX,
  userAgent: 'AIFAI-Webhook/1.0',
  eventHeaderValue: 'notification',
  envelope: {
    event: { literal: 'notification' },
    notification: 'payload',
    timestamp: 'timestamp',
    platform: { literal: 'aifai' },
  },
  timestamps: 'seconds',
  // 1, 2, 3 s: its document calls that exponential, and the delays count
  retry: { strategy: 'linear', base_seconds: 1, max_retries: 3, retry_on: '5xx_429' },
  timeoutSeconds: 10,
};
