import { SHA256_HEX } from './signature.ts';
import type { WireProfileData } from './wire-profile.ts';

/** Flock, "Webhook Payload", "HMAC Signature Verification", "Retry Behavior"; `sequence` by its requirements. */
export const flock: WireProfileData = {
  name: 'flock',
  headers: { signature: 'X-Flock-Signature' },
  signature: SHA256_HEX,
  envelope: {
    event: { literal: 'artifact.published' },
    timestamp: 'timestamp',
    artifact: {
      object: {
        id: 'id',
        type: 'type',
        payload: 'payload',
        produced_by: { attribute: 'produced_by' },
        correlation_id: 'correlation_id',
        created_at: 'timestamp',
        tags: [{ attribute: 'tags' }, { literal: [] }],
        version: [{ attribute: 'version' }, { literal: 1 }],
        sequence: 'sequence',
      },
    },
  },
  timestamps: 'microseconds',
  // 1, 2, 4 s
  retry: { strategy: 'exponential', base_seconds: 1, factor: 2, max_retries: 3, retry_on: 'non_2xx' },
  timeoutSeconds: 30,
};
