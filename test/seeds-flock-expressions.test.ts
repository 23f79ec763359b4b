import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { type Loose, Receiver, type Stack, startStack, Tenant } from './harness/index.ts';
import { SeedDocument } from './seeds/documents.ts';
import { needing } from './seeds/needing.ts';
import { flockOutput } from './seeds/python-output.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});

const document = () => SeedDocument.read('flock-webhooks.txt');
const itInPython = needing('documents', 'python');

/** As our own document shows them. */
const DOCS = join(import.meta.dirname, '..', 'docs', 'expressions.md');
const examples = new SeedDocument('docs/expressions.md', readFileSync(DOCS, 'utf8')).codes(
  "Flock's examples",
  'cel',
);
const [FILTER = '', SLACK = '', DISCORD = ''] = examples;

/** Python writes what is neither text nor number in a way of its own (`True`, `['a']`); the expression writes JSON. */
const STR_AS_JSON = `
def str(value):
    return value if isinstance(value, type("")) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)

`;

type Artifact = { type: string; payload: Record<string, unknown>; produced_by: string };

/** The documented artifact, with another payload or type. */
function artifact(changed: Partial<Artifact> = {}): Artifact {
  const { type, payload, produced_by } = (document().json('Webhook Payload') as Loose).artifact;
  return { type, payload, produced_by, ...changed };
}

const eventOf = ({ type, payload, produced_by }: Artifact) => ({
  type,
  payload,
  attributes: { produced_by },
});

/** What an endpoint with these settings gets of each artifact: its body, or undefined for none. */
async function delivered(settings: object, artifacts: Artifact[]): Promise<(string | undefined)[]> {
  const tenant = await Tenant.create(stack.client, { wire_profile: 'flock' });
  const receiver = await Receiver.listen();
  await tenant.endpoint({ url: receiver.url(), ...settings });
  const bodies: (string | undefined)[] = [];
  for (const each of artifacts) {
    const before = receiver.requests.length;
    const { deliveries } = await tenant.publish(eventOf(each));
    for (const { id } of deliveries) {
      const { status, reason, attempts } = await tenant.ended(id);
      expect(status, `${reason} ${JSON.stringify(attempts)}`).toMatch(/^(delivered|skipped)$/);
    }
    bodies.push(receiver.requests[before]?.text);
  }
  return bodies;
}

describe("Flock's documented subclasses as expressions", () => {
  itInPython('the severity filter sends what the subclass sends', async () => {
    const artifacts = [
      artifact(),
      artifact({ payload: { severity: 'Critical' } }),
      artifact({ payload: { severity: 'Low' } }),
      artifact({ payload: { severity: 'high' } }),
      artifact({ payload: { severity: ['High'] } }),
      artifact({ payload: { severity: null } }),
      artifact({ payload: {} }),
      artifact({ type: 'Report' }),
    ];
    const expected = await flockOutput(document().code('Filtering Webhooks', 'python'), 'sent', artifacts);
    expect(expected.slice(0, 3)).toEqual([true, true, false]);
    const bodies = await delivered({ filter: FILTER }, artifacts);
    expect(bodies.map((body) => body !== undefined)).toEqual(expected);
  });

  const PLAIN = { severity: 'High', confidence: 0.92, count: 3, 'a "quoted" key': 'line\nbreak' };
  const NESTED = { ...PLAIN, list: [1, { a: [] }, {}], nothing: null, yes: true, empty: '' };

  itInPython('the Slack message is what the subclass makes', async () => {
    const artifacts = [artifact(), artifact({ payload: NESTED }), artifact({ type: 'Report', payload: {} })];
    const expected = await flockOutput(document().code('Slack Integration', 'python'), 'messages', artifacts);
    const bodies = await delivered({ transform: SLACK }, artifacts);
    expect(bodies.map((body) => JSON.parse(body!))).toEqual(expected);
    expect(bodies[0]).toBe(JSON.stringify(expected[0]));
  });

  itInPython(
    'the Discord message is what the subclass makes, with JSON where Python has its own notation',
    async () => {
      const code = document().code('Discord Integration', 'python');
      const plain = [artifact({ payload: PLAIN }), artifact({ payload: {} })];
      const asWritten = await flockOutput(code, 'messages', plain);
      const rich = [artifact(), artifact({ payload: NESTED })];
      const asJson = await flockOutput(STR_AS_JSON + code, 'messages', rich);
      const bodies = await delivered({ transform: DISCORD }, [...plain, ...rich]);
      expect(bodies.map((body) => body && JSON.parse(body))).toEqual([...asWritten, ...asJson]);
    },
  );

  itInPython('a trial shows the message without sending it', async () => {
    const [expected] = await flockOutput(document().code('Slack Integration', 'python'), 'messages', [
      artifact(),
    ]);
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flock' });
    const settings = { url: 'https://example.com/', filter: FILTER, transform: SLACK };
    const { id } = await tenant.endpoint(settings);
    const { type, ...event } = eventOf(artifact());
    const body = { dry_run: true, event_type: type, ...event };
    const { status, json } = await stack.client.post(`${tenant.path}/endpoints/${id}/test`, body);
    expect([status, json.delivers, JSON.parse(json.body)]).toEqual([200, true, expected]);
  });
});
