import { createServer } from 'node:http';
import { verifySha256, verifyStandard } from './verify.mjs';

const { SECRET, SIGNATURE_HEADER, PORT = '3000' } = process.env;
if (!SECRET) throw new Error('Set SECRET to the secret of the endpoint');

const MAX_BODY_BYTES = 2 * 1024 * 1024;
const MAX_REMEMBERED = 10_000;

/** Ids that have been handled. A real receiver keeps them where it keeps its work, in the same transaction. */
const handled = new Set();

const server = createServer(async (request, response) => {
  try {
    response.statusCode = await receive(request);
    if (!request.complete) response.setHeader('connection', 'close'); // the rest of its body is of no interest
  } catch {
    response.statusCode = 500; // Sealpost tries again
  }
  response.end();
});

async function receive(request) {
  if (request.method !== 'POST') return 405;
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return 413;
  const body = await readBody(request);
  const genuine = SIGNATURE_HEADER
    ? verifySha256(SECRET, request.headers[SIGNATURE_HEADER.toLowerCase()], body)
    : verifyStandard(SECRET, request.headers, body);
  if (!genuine) return 401;
  const id = request.headers['webhook-id'];
  if (id !== undefined && handled.has(id)) return 204; // a repeat: the first answer was lost on its way
  console.log('handled', id, body.length, 'bytes'); // your work stands here
  if (id !== undefined) remember(id);
  return 204;
}

/** What comes without a length and gets too long ends with the connection. */
async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Error('a longer body than its head announced');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function remember(id) {
  handled.add(id);
  if (handled.size > MAX_REMEMBERED) handled.delete(handled.values().next().value);
}

server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening ${server.address().port}`));
