import { describe, expect, it } from 'vitest';
import { SeedDocument } from './seeds/documents.ts';
import { needing } from './seeds/needing.ts';
import { parseRequest } from './seeds/request.ts';
import { shapeOf } from './seeds/shape.ts';

describe('a document', () => {
  const text = [
    '# One',
    'Said here.',
    '- first `X: y`',
    '```python',
    '# no heading',
    'a = 1',
    '```',
    '## Two',
    '1. **Step:**',
    '   ```bash',
    '   run',
    '     more',
    '   ```',
    '```json',
    '{"a": { ... }}',
    '```',
  ];
  const document = new SeedDocument('own.txt', text.join('\n'));

  it('is cut into code by heading and language, and prose', () => {
    expect(document.code('One', 'python')).toBe('# no heading\na = 1\n');
    expect(document.code('Two', 'bash')).toBe('run\n  more\n');
    expect(document.json('Two')).toEqual({ a: {} });
    expect(document.list('One')).toEqual(['first `X: y`']);
    expect(document.blocks).toHaveLength(3);
  });

  it('throws for what it does not have, and for what is not told apart', () => {
    expect(() => document.code('One', 'go')).toThrow('own.txt has no go block under "One"');
    expect(() => document.list('Three')).toThrow('nothing under "Three"');
    const twice = new SeedDocument('own.txt', [...text, ...text].join('\n'));
    expect(() => twice.code('One', 'python')).toThrow('2 such blocks');
    expect(() => new SeedDocument('own.txt', '```js\n')).toThrow('no end');
  });

  it('has requests, in which names are filled in', () => {
    const code = 'PUT /v1/{id}?page=1\nAuthorization: Bearer {key}\n\n{\n  "a": "{id}"\n}\n';
    expect(parseRequest(code, { id: '7', key: 'k' })).toEqual({
      method: 'PUT',
      path: '/v1/7?page=1',
      headers: { Authorization: 'Bearer k' },
      body: '{\n  "a": "{id}"\n}\n',
    });
    expect(() => parseRequest(code, { id: '7' })).toThrow('{key}');
    expect(() => parseRequest('pip install it')).toThrow('No request');
  });
});

it('a shape is what the leaves are', () => {
  expect(
    shapeOf({ a: [{ b: 1 }, 2], c: null, d: '2025-01-15T10:30:00Z', e: '2025-01-15T10:30:00.1Z' }),
  ).toEqual({
    a: [{ b: 'number' }],
    c: 'null',
    d: 'time to the second',
    e: 'string',
  });
});

/** What is not run, and why. */
const LEFT_OUT: Record<string, Record<string, string>> = {
  'aifai.txt': {
    'Signature Verification ()': 'a header, which the header list has as well',
    'Local Testing with ngrok (bash)': 'starts a receiver by hand',
    'Testing with Request Bin (python) check_for_new_notifications': "makes AIFAI's own notifications",
  },
  'flock-prd.txt': {},
  'flock-webhooks.txt': {},
  'goflagship.txt': {},
  'taskflow.txt': {},
};

/** Every code block of the documents that a test runs, replays or compares with: its heading and language. */
const USED: Record<string, string[]> = {
  'aifai.txt': [
    'Webhook Payload (json)',
    'Signature Verification (python)',
    'Environment Variables (bash)',
    'Agent Configuration (python)',
    'Via Direct API Call (http)',
    'Example Webhook Endpoint (Python/Flask) (python)',
    'Example Webhook Endpoint (Node.js/Express) (javascript)',
    'Quiet Hours (python)',
    'Rate Limiting (python)',
    'Local Testing with ngrok (python)',
    'Testing with Request Bin (python)',
  ],
  'flock-prd.txt': [],
  'flock-webhooks.txt': [
    'Quick Start (python)',
    'Configuration Options (python)',
    'Webhook Payload (json)',
    'Verifying Signatures (Python Example) (python)',
    'Verifying Signatures (Node.js Example) (javascript)',
    'Filtering Webhooks (python)',
    'Slack Integration (python)',
    'Discord Integration (python)',
  ],
  'goflagship.txt': [
    'Create Webhook (http)',
    'Create Webhook (json)',
    'List Webhooks (http)',
    'Get Webhook (http)',
    'Update Webhook (http)',
    'Delete Webhook (http)',
    'List Webhook Deliveries (http)',
    'List Webhook Deliveries (json)',
    'Test Webhook (http)',
    'Headers ()',
    'Payload (json)',
    'Node.js (javascript)',
    'Python (python)',
    'Go (go)',
    'Slack Notification (javascript)',
    'Datadog Event (python)',
  ],
  'taskflow.txt': [
    'Creating a Webhook (bash)',
    'Webhook Payload (json)',
    'Signature Verification (python)',
    'List Webhooks (bash)',
    'Update Webhook (bash)',
    'Delete Webhook (bash)',
    'Test Webhook (bash)',
    'View Delivery History (bash)',
    'Slack Notification (python)',
    'Custom Integration (python)',
  ],
};

needing('documents')('every code block of the documents is used, or left out for a reason', () => {
  for (const [name, used] of Object.entries(USED)) {
    const leftOut = Object.keys(LEFT_OUT[name]!);
    const blocks = SeedDocument.read(name).blocks.map(({ heading, language, code }) => {
      const label = `${heading} (${language})`;
      return (
        leftOut.find(
          (known) => known.startsWith(`${label} `) && code.includes(known.slice(label.length + 1)),
        ) ?? label
      );
    });
    const known = [...used, ...leftOut];
    expect(new Set(blocks), name).toEqual(new Set(known));
  }
});
