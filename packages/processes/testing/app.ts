import { existsSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { AddedUpMetrics, createLogger, createMetrics } from '@sealpost/telemetry';
import { isParent, Member, Supervisor } from '../src/index.ts';

/**
 * An app that does nothing, as several processes. Its parent writes its log, and answers what is asked on its standard
 * input: `ready`, `metrics`. Arguments: how many processes, how it behaves, its patience as JSON, and a file that is there
 * as soon as one works. (While there is `FILE.holds`, what works does not drain, should the second one have failed.)
 */
const [count, behaviour, patience, file] = process.argv.slice(2);

async function supervise(): Promise<void> {
  const logger = createLogger({ name: 'app', level: 'info', isShared: true });
  const totals = new AddedUpMetrics(() => supervisor.notReady());
  const supervisor = new Supervisor({
    count: Number(count),
    logger,
    totals,
    patience: JSON.parse(patience!),
  });
  createInterface(process.stdin).on('line', async (line) => {
    const answer =
      line === 'metrics' ? await supervisor.metrics() : ((await supervisor.notReady()) ?? 'ready');
    process.stdout.write(`${JSON.stringify({ asked: line, answer })}\n`);
  });
  await supervisor.start();
  logger.info('all ready');
}

async function work(member: Member): Promise<void> {
  if (behaviour === 'second-fails' && member.nr === 2) {
    while (!existsSync(file!)) await delay(10);
    throw new Error('Redis says no');
  }
  if (behaviour === 'hangs-when-restarted' && existsSync(file!)) await new Promise(() => {});
  const logger = createLogger({ name: 'app', level: 'info', process: member.nr, isShared: true });
  const metrics = createMetrics('worker');
  metrics.instruments.retries.inc({ reason: 'timeout' }, member.nr);
  let asked = 0;
  const notReady = async () => (behaviour === 'counts' ? `asked ${++asked}` : undefined);
  member.tells({ notReady, metrics: metrics.snapshot, text: metrics.text });
  for (let i = 0; behaviour === 'chatters' && i < 5000; i++)
    logger.info({ text: 'é'.repeat(i % 200) }, 'chat');
  logger.info('works');
  member.drainsWith(async () => {
    logger.info('draining');
    if (behaviour === 'never-drains') return;
    while (behaviour === 'second-fails' && existsSync(`${file}.holds`)) await delay(10);
    logger.info('drained');
    process.exit(0);
  });
  member.started();
  if (file) writeFileSync(file, '');
  setInterval(() => {}, 60_000);
}

const member = new Member();
(isParent() ? supervise() : work(member)).catch((error: Error) => {
  member.failed(error.message, (why) => process.stderr.write(`cannot start: ${why}\n`));
});
