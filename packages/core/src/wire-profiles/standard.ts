import type { WireProfileData } from './wire-profile.ts';

/** Standard Webhooks, "Payload structure". */
export const standard: WireProfileData = {
  name: 'standard',
  headers: {},
  envelope: { type: 'type', timestamp: 'timestamp', data: 'payload' },
  timestamps: 'milliseconds',
};
