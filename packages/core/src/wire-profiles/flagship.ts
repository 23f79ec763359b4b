import { SHA256_HEX } from './signature.ts';
import type { WireProfileData } from './wire-profile.ts';

/** goflagship, "Webhook Payload Format", "Signature Verification", "Retry Behavior", "Create Webhook". */
export const flagship: WireProfileData = {
  name: 'flagship',
  headers: {
    signature: 'X-Flagship-Signature',
    event: 'X-Flagship-Event',
    delivery: 'X-Flagship-Delivery',
  },
  signature: SHA256_HEX,
  envelope: {
    event: 'type',
    timestamp: 'timestamp',
    environment: ['environment', { payloadMember: 'environment' }],
    resource: { payloadMember: 'resource' },
    data: { payloadMember: 'data' },
    metadata: { payloadMember: 'metadata' },
  },
  timestamps: 'seconds',
  // 1, 2, 4 … s
  retry: { strategy: 'exponential', base_seconds: 1, factor: 2, max_retries: 3, retry_on: 'non_2xx' },
  timeoutSeconds: 10,
};
