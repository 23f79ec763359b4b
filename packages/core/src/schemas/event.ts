import { z } from 'zod';
import { looksGenerated } from '../ids.ts';
import * as fields from './fields.ts';
import { attributes } from './records.ts';
import { retryPolicy } from './retry.ts';
import { wireProfile } from './wire-profile.ts';

const MAX_CONTENT_TYPE_LENGTH = 255;
const MAX_BATCH = 1000;
const MAX_DAYS_AHEAD = 30;

/** RFC 9110 §8.3.1: type/subtype and parameters, whose values are tokens or quoted strings. */
const MEDIA_TYPE =
  /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[ \t]*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"[\t\x20\x21\x23-\x5b\x5d-\x7e]*"))*$/;

const ownId = fields.eventId
  .refine((id) => !looksGenerated(id), { error: 'must not have the form of a generated id' })
  .describe('Your own id of the event: the `webhook-id`. A second event with it is not published again.');

const deliverAt = fields.time
  .refine((time) => time <= Date.now() + MAX_DAYS_AHEAD * 86_400_000, {
    error: `must be at most ${MAX_DAYS_AHEAD} days ahead`,
  })
  .describe(`Not before this time, at most ${MAX_DAYS_AHEAD} days ahead; at once when it has passed.`);

export const eventInput = z
  .strictObject({
    type: fields.eventType,
    payload: z.unknown().describe('Any JSON value; it arrives with its numbers digit for digit.'),
    content_type: fields
      .text(MAX_CONTENT_TYPE_LENGTH, MEDIA_TYPE, 'a media type, such as text/plain')
      .exactOptional()
      .describe('With another type than JSON, a string payload is the body itself under the `raw` profile.'),
    id: ownId.exactOptional(),
    correlation_id: fields.correlationId.exactOptional(),
    environment: fields.environment.exactOptional(),
    attributes: attributes.exactOptional(),
    deliver_at: deliverAt.exactOptional(),
    webhook_url: fields.url
      .exactOptional()
      .describe('Sends this event to one more URL, beside the subscribed endpoints.'),
    webhook_secret: fields.secret.exactOptional().describe('Signs the delivery to `webhook_url`.'),
    wire_profile: wireProfile.exactOptional(),
    retry: retryPolicy.exactOptional(),
  })
  .check(({ value, issues }) => {
    if (value.webhook_secret === undefined || value.webhook_url !== undefined) return;
    issues.push({ code: 'custom', path: ['webhook_secret'], input: value, message: 'needs a webhook_url' });
  })
  .meta({ id: 'EventInput', description: 'One thing that happened.' });

export type EventInput = z.infer<typeof eventInput>;

/** Only the shape of a batch: each event is parsed by itself, since a bad one fails alone. */
export const batchInput = z
  .strictObject({
    events: z
      .array(z.unknown().meta({ $ref: '#/components/schemas/EventInput' }))
      .min(1)
      .max(MAX_BATCH),
  })
  .meta({ id: 'BatchInput', description: 'Events to publish, in this order.' });

export type BatchInput = z.infer<typeof batchInput>;
