import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { appId, Keyring, MAX_SHARDS, masterKey, positiveInt, readSettings, redisUrl } from '@sealpost/core';
import { checkServer, connect, isUnavailable, Shards, whenReady } from '@sealpost/queue';
import { z } from 'zod';
import type { AppConfig } from '../app-config.ts';
import { Configs } from '../configs.ts';
import { letGo } from './let-go.ts';
import { assertMovable, assertNoOlderWorker, assertNothingLeft, type MoveStep, moveApp } from './move-app.ts';
import { loadOf, surveyApps } from './survey.ts';

/** How long to wait for Redis, ms. */
const CONNECT_MS = 5_000;
/** Workers look for new shards every 2 s. */
const SERVED_MS = 5000;
const LOOK_MS = 200;
/** Lanes that nothing lets go for so long, ms, are left to the workers: some wait for a receiver, or for whoever paused them. */
const PATIENCE_MS = 15_000;
/** Apps of a shard that are listed. */
const LISTED = 20;

const USAGE = `npm run move-app -- --app APP --to SHARD [--dry-run | --no-wait]
                                                       moves an app to another shard; may be run again
npm run move-app -- --list                             what each shard has, its busiest apps first`;

const schema = z.object({
  REDIS_URL: redisUrl,
  SEALPOST_MASTER_KEY: masterKey,
  SEALPOST_MASTER_KEY_PREVIOUS: masterKey.optional(),
  SEALPOST_SHARDS: positiveInt.default(1),
});

type Tools = { shards: Shards; configs: Configs };

/** `npm run move-app`: docs/moving-apps.md. Ends with 0 when the app is where it was to go. */
async function main(): Promise<void> {
  const { app, to, list, dryRun, noWait } = readArguments();
  const settings = readSettings(schema, process.env);
  const keyring = Keyring.fromMasterKeys(settings.SEALPOST_MASTER_KEY, settings.SEALPOST_MASTER_KEY_PREVIOUS);
  const client = connect(settings.REDIS_URL, 'request', () => {});
  await whenReady(client, CONNECT_MS).catch((error: Error) => {
    client.disconnect();
    throw new Error(`Redis, which REDIS_URL names, does not answer: ${error.message}`);
  });
  try {
    await checkServer(client, { keyring });
    const shards = new Shards(client);
    const tools = { shards, configs: new Configs({ shards, keyring, shardsForNewApps: 1 }) };
    if (list) await printList(shards);
    else await move(tools, app!, to!, { known: settings.SEALPOST_SHARDS, dryRun, noWait });
  } finally {
    client.disconnect();
  }
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        app: { type: 'string' },
        to: { type: 'string' },
        list: { type: 'boolean', default: false },
        'dry-run': { type: 'boolean', default: false },
        'no-wait': { type: 'boolean', default: false },
      },
    });
    const { app, to, list, 'dry-run': dryRun, 'no-wait': noWait } = values;
    if (list) return { list };
    if (app === undefined || to === undefined) throw new Error('--app and --to are needed.');
    if (!appId.safeParse(app).success)
      throw new Error(`--app must be an app's name, which ${app} cannot be.`);
    const shard = /^\d{1,4}$/.test(to) ? Number(to) : Number.NaN;
    if (!(shard < MAX_SHARDS)) throw new Error(`--to must be a shard's number, 0 to ${MAX_SHARDS - 1}.`);
    return { app, to: shard, dryRun, noWait };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${USAGE}`);
  }
}

async function move(
  tools: Tools,
  app: string,
  to: number,
  { known, dryRun, noWait }: { known: number; dryRun: boolean | undefined; noWait: boolean | undefined },
): Promise<void> {
  await assertKnown(tools.shards, to, known);
  const home = await tools.configs.newest(app);
  const loads = await Promise.all(home.parts.map((part) => loadOf(tools.shards, part)));
  const open = loads.reduce((sum, load) => sum + load.open, 0);
  say(
    `App ${app} is in shard ${home.shard}: ${home.endpoints.size} endpoints, ${open} deliveries open, and ` +
      `${loads.reduce((sum, load) => sum + load.kept, 0)} kept in ${shardsNamed(home.parts.map(({ shard }) => shard))}.`,
  );
  if (dryRun) {
    if (home.shard !== to) {
      assertMovable(home, to);
      await assertNothingLeft(tools.shards, app, to);
      await assertNoOlderWorker(tools.shards);
    }
    say('It can be moved. Nothing has been changed.');
    return;
  }
  const onStep = (step: MoveStep) => say(`  ${STEPS[step](to)}`);
  const moved = await moveApp({ ...tools, now: Date.now, patienceMs: SERVED_MS, onStep }, app, to);
  if (noWait) say('The workers let its lanes go, each when what was accepted before has gone out.');
  else await waitForLanes(tools, moved);
}

const STEPS: Record<MoveStep, (to: number) => string> = {
  begun: (to) => `It is to go to shard ${to}. For producers nothing has changed yet.`,
  moved: (to) => `New events are accepted in shard ${to} from now on.`,
  there: (to) => `Its home is shard ${to}.`,
};

/** @throws Error: no worker would serve it */
async function assertKnown(shards: Shards, to: number, setting: number): Promise<void> {
  const known = await shards.known();
  if (to < setting || known.includes(to)) return;
  throw new Error(
    `Shard ${to} is unknown: Redis knows ${shardsNamed(known)}, and SEALPOST_SHARDS is ${setting}. ` +
      `For a new one, set SEALPOST_SHARDS to ${to + 1} or more here.`,
  );
}

/** Lets go what can be; the workers do so too, and go on with it. */
async function waitForLanes({ shards, configs }: Tools, { app, shard, number }: AppConfig): Promise<void> {
  let held = Number.POSITIVE_INFINITY;
  let told: number | undefined;
  let movedAt = performance.now();
  while (performance.now() - movedAt < PATIENCE_MS) {
    const round = await letGo({ shards, configs }, app, { shard, number });
    if (!round || round.held === 0) {
      say(
        'All its lanes send from there. What is left of its deliveries elsewhere ends there, and stays for its retention.',
      );
      return;
    }
    if (round.letGo === 0 && round.held !== told) {
      say(
        `  ${round.held} ${round.held === 1 ? 'lane waits' : 'lanes wait'} until what was accepted before has gone out.`,
      );
      told = round.held;
    }
    if (round.held < held) movedAt = performance.now();
    held = Math.min(held, round.held);
    if (round.letGo === 0) await delay(LOOK_MS);
  }
  say(
    `${held} ${held === 1 ? 'lane waits' : 'lanes wait'} still, for a large backlog, or a paused or failing endpoint. The workers let them go.`,
  );
}

async function printList(shards: Shards): Promise<void> {
  const loads = await surveyApps(shards);
  for (const shard of await shards.known()) {
    const here = loads.filter((load) => load.shard === shard);
    const kept = here.reduce((sum, load) => sum + load.kept, 0);
    say(`shard ${shard}: ${here.length} apps, ${kept} deliveries kept`);
    for (const { app, isHome, kept, open } of here.slice(0, LISTED)) {
      say(
        `  ${String(kept).padStart(10)} kept ${String(open).padStart(9)} open  ${app}${isHome ? '' : ' (has moved away)'}`,
      );
    }
  }
}

function shardsNamed(shards: number[]): string {
  if (shards.length === 0) return 'none';
  return `shard${shards.length > 1 ? 's' : ''} ${shards.join(', ')}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().catch((error: unknown) => {
  const text = error instanceof Error ? error.message : String(error);
  const message = isUnavailable(error)
    ? `Redis does not answer any more (${text}). Run this again: it goes on.`
    : text;
  process.stderr.write(`The app is not moved, or not yet. ${message}\n`);
  process.exit(1);
});
