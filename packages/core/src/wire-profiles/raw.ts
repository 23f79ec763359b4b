import type { WireProfileData } from './wire-profile.ts';

/** The payload alone, with the headers of Standard Webhooks. */
export const raw: WireProfileData = {
  name: 'raw',
  headers: {},
  envelope: 'payload',
  timestamps: 'milliseconds',
};
