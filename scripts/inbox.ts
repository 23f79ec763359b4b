import { createServer, type Server } from 'node:http';
import { printable } from './log-view.ts';

const SHOWN_PER_SECOND = 5;
const MAX_BODY_BYTES = 2 * 1024 * 1024;

/**
 * A receiver to try things with: answers 200 to everything and shows what came in, a few lines per second.
 * It does not verify signatures; the README shows how a real one does.
 */
export function startInbox(port: number, show: (line: string) => void): Promise<Server> {
  const limited = limitRate(show);
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    });
    request.on('error', () => {}); // the sender gave up: nothing came in
    request.on('end', () => {
      const body = printable(Buffer.concat(chunks).toString('utf8'), 200);
      limited(`inbox   ${request.method} ${printable(request.url ?? '/', 100)}  ${body}`);
      response.writeHead(200, { 'content-type': 'text/plain' }).end('received\n');
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

function limitRate(show: (line: string) => void): (line: string) => void {
  let second = 0;
  let shown = 0;
  let hidden = 0;
  return (line) => {
    const now = Math.floor(Date.now() / 1000);
    if (now !== second) {
      if (hidden > 0) show(`inbox   … and ${hidden} more`);
      [second, shown, hidden] = [now, 0, 0];
    }
    if (shown < SHOWN_PER_SECOND) show(line);
    else hidden += 1;
    shown += 1;
  };
}
