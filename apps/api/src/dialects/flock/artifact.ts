import { type EventInput, eventInput, retryPolicy } from '@sealpost/core';
import { z } from 'zod';
import type { Draft } from '../../ingest/prepare-event.ts';

const event = eventInput.shape;
const retry = retryPolicy.shape;

/** Python's clients send null for what is not given. */
const optional = <S extends z.ZodType>(field: z.ZodExactOptional<S>) =>
  field.unwrap().nullable().exactOptional();

export const artifactInput = z
  .strictObject({
    type: event.type,
    payload: event.payload,
    webhook_url: optional(event.webhook_url),
    webhook_secret: optional(event.webhook_secret).describe("Signs; else the app's signing secret does."),
    correlation_id: optional(event.correlation_id).describe(
      'Of the workflow, whose artifacts are numbered by `sequence`; one is made where none is given.',
    ),
    id: optional(event.id),
    produced_by: z.string().nullable().exactOptional(),
    tags: z.array(z.string()).nullable().exactOptional(),
    version: z.int().min(0).nullable().exactOptional(),
    max_retries: optional(retry.max_retries),
    retry_delay: optional(retry.base_seconds).describe('Before the first retry, in seconds.'),
    retry_backoff: optional(retry.factor).describe('By what each delay is longer than the one before.'),
  })
  .check(({ value, issues }) => {
    if ((value.webhook_secret ?? null) !== null && (value.webhook_url ?? null) === null) {
      const message = 'needs a webhook_url';
      issues.push({ code: 'custom', path: ['webhook_secret'], input: value, message });
    }
    // They become the event's attributes, and keep to the limits of those.
    const { error } = event.attributes.safeParse(attributesOf(value));
    for (const { path, message } of error?.issues ?? []) {
      issues.push({ code: 'custom', path: [...path], input: value, message });
    }
  })
  .meta({
    id: 'FlockArtifactInput',
    description: 'An artifact to publish. null means the same as leaving out.',
  });

export type ArtifactInput = z.infer<typeof artifactInput>;

/** The event that an artifact is. @param correlationId what counts when the artifact brings none */
export function draftOf(
  artifact: ArtifactInput,
  made: { payload: string; derivedId: string | undefined; correlationId: string },
): Draft {
  const { webhook_url, webhook_secret, id } = artifact;
  const attributes = attributesOf(artifact);
  const retry = retryOf(artifact);
  const input: EventInput = {
    type: artifact.type,
    payload: artifact.payload,
    wire_profile: 'flock',
    correlation_id: artifact.correlation_id ?? made.correlationId,
    ...given({ id, webhook_url, webhook_secret }),
    ...(Object.keys(attributes).length > 0 && { attributes }),
    ...(Object.keys(retry).length > 0 && { retry }),
  };
  return { input, payload: made.payload, derivedId: made.derivedId };
}

function attributesOf({
  produced_by,
  tags,
  version,
}: Pick<ArtifactInput, 'produced_by' | 'tags' | 'version'>) {
  return given({ produced_by, tags, version });
}

function retryOf({
  max_retries,
  retry_delay,
  retry_backoff,
}: ArtifactInput): NonNullable<EventInput['retry']> {
  const delays = given({ base_seconds: retry_delay, factor: retry_backoff });
  return {
    ...given({ max_retries }),
    // Delays say how they grow, whatever strategy an endpoint has.
    ...(Object.keys(delays).length > 0 && { strategy: 'exponential' as const, ...delays }),
  };
}

/** Without the fields that are null or left out. */
function given<T extends object>(fields: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof T]?: NonNullable<T[Name]> };
}
