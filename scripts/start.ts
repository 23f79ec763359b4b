import { join } from 'node:path';
import { startInbox } from './inbox.ts';
import { runMain } from './launcher-error.ts';
import { type LocalStack, nameOf } from './local-stack.ts';
import { aborted, runSession } from './session.ts';

const dataDir = process.env.SEALPOST_DATA_DIR || join(import.meta.dirname, '..', '.sealpost');
const say = (line: string) => console.log(line);

/** `npm start`: everything on this machine, until Ctrl-C. */
async function run(stack: LocalStack, stop: AbortSignal): Promise<void> {
  const port = await stack.ports.free(8082);
  const inbox = await startInbox(port, say);
  say(welcome(stack, `http://127.0.0.1:${port}`));
  await aborted(stop);
  inbox.unref(); // it takes what is still being delivered, but keeps nobody waiting
}

function welcome({ apiUrl, apiKey }: LocalStack, inboxUrl: string): string {
  const curl = (path: string, body?: object, header?: string) =>
    [
      `curl -sSw '\\n' ${apiUrl}/v1/apps/default/${path} -H 'Authorization: Bearer ${apiKey}'`,
      ...(header ? [`-H '${header}'`] : []),
      ...(body ? [`-H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`] : []),
    ].join(' ');
  const event = { type: 'hello.world', payload: { greeting: 'Hello' } };
  return `
Sealpost is running.

  API        ${apiUrl}
  Reference  ${apiUrl}/docs
  Queues     ${apiUrl}/admin/queues
  API key    ${apiKey}
  Inbox      ${inboxUrl}  a receiver to try things with: what it gets is shown below

Create an endpoint, publish an event, look at its deliveries (paste these in another terminal):

${curl('endpoints', { url: `${inboxUrl}/` })}
${curl('events', event, 'Prefer: wait=5')}
${curl('deliveries')}

Data, keys and logs are in ${nameOf(dataDir)}. Ctrl-C stops everything; the data stays.
`;
}

await runMain(() => runSession({ dataDir, say, run }));
