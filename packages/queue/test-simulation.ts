import { formatId, jobId, reasonNumber } from '@sealpost/core';
import type { Outcome } from './src/claim.ts';
import type { Admitted } from './src/jobs.ts';
import { lookAtShard } from './src/look.ts';
import { replayStretch } from './src/replay.ts';
import { type ScriptReply, text } from './src/scripts.ts';
import type { ReceiverSign } from './src/settle.ts';
import { readTickets, type Turn } from './src/turn.ts';
import { findFaults, findWrongAdmissions, isOpen, type Picture, takePicture } from './test-picture.ts';
import { APP, type LaneSettings, RETENTION, type TestShard } from './test-shard.ts';

/** Longer than any pause, hold or period that occurs here, ms. */
const LONG_MS = 900_000;
const HOUR_MS = 3_600_000;

/** The endpoints of the app, by their numbers, and how their lanes are set at first. */
export const ENDPOINTS: Record<number, LaneSettings> = {
  2: {},
  3: { mc: 1 },
  4: { mc: 3 },
  5: { or: 1 },
  6: { rl: 2, rp: 600_000 },
};
const ORDERED = 5;
/** Stands for the lane of a `webhook_url`. */
export const ORIGIN = 0;

/** A job as BullMQ has it. `made`: outcomes counted. */
type Job = {
  id: string;
  number: number;
  generation: number;
  made: number;
  state: 'waiting' | 'active' | 'delayed' | 'failed' | 'completed';
};

/** An attempt under way. `isLost`: BullMQ takes its worker for dead, though it may still settle. */
type Attempt = {
  number: number;
  generation: number;
  attempt: number;
  job: Job;
  /** Its worker has died, or only lost its lock. */
  isLost: boolean;
  /** Begun since another's worker seemed to have died, which has settled all the same. */
  isDouble?: boolean;
};

/** What may go wrong after a script: the process dies before it has told BullMQ, or made the jobs it was to make. */
type Crash = { lose: boolean };

/**
 * Drives the scripts as API, workers, operators and crashes do, with a table in place of BullMQ (of whose keys
 * RECONCILE sees the jobs), and looks after each step whether all that the lanes keep is kept.
 */
export class Simulation {
  readonly #test: TestShard;
  readonly #jobs = new Map<string, Job>();
  #attempts: Attempt[] = [];
  readonly #settings = new Map(
    Object.entries(ENDPOINTS).map(([endpoint, lane]) => [Number(endpoint), { ...lane }]),
  );
  readonly #ended = new Set<string>();
  readonly #accepted: number[] = [];
  /** Of an ordered lane, those that must be delivered in this order: nobody has meddled with them. */
  readonly #inOrder: number[] = [];
  /** Deliveries that were posted with success. */
  readonly #arrived = new Set<number>();
  #picture: Picture | undefined;
  #replays = 0;

  constructor(test: TestShard) {
    this.#test = test;
  }

  async start(): Promise<void> {
    const endpoints = Object.keys(ENDPOINTS).map(Number);
    await this.#test.reset({ endpoints, slots: 3 });
    await this.#test.configure({ lanes: ENDPOINTS });
    await this.#look();
  }

  async accept(endpoints: number[], isScheduled: boolean, { lose }: Crash): Promise<void> {
    const present = endpoints.filter((endpoint) => !this.#ended.has(String(endpoint)));
    if (present.length === 0) return;
    const createdAt = Date.now() - 10;
    const dueAt = isScheduled ? createdAt + HOUR_MS : createdAt;
    const { number, result } = await this.#test.publish(
      present.length,
      { lane: 'a0' },
      present.map((endpoint) => ({ endpoint, createdAt, dueAt })),
    );
    if (result.result !== 'accepted') throw new Error(`not accepted: ${result.result}`);
    for (const [i, endpoint] of present.entries()) {
      this.#accepted.push(number + i);
      if (endpoint === ORDERED && !isScheduled) this.#inOrder.push(number + i);
      if (result.admitted[i] && !lose) await this.#addJob(number + i, 1);
    }
    await this.#look();
  }

  /** A worker takes a job, and attempts its delivery if it may. */
  async fetch(pick: number, crash: Crash): Promise<void> {
    const ready = [...this.#jobs.values()].filter(({ state }) => state === 'waiting' || state === 'delayed');
    ready.sort((a, b) => Number(a.state === 'delayed') - Number(b.state === 'delayed'));
    const job = ready[pick % ready.length];
    if (job) await this.#claim(job, crash);
  }

  async #claim(job: Job, crash: Crash): Promise<void> {
    const { number, generation } = job;
    const claimed = await this.#test.claim(number, generation, job.made);
    await this.#look();
    if (claimed.result === 'busy') job.state = 'delayed';
    else if (claimed.result === 'settled') await this.#tell(job, claimed);
    else if (claimed.result === 'gone') await this.#complete(job);
    else if (claimed.result === 'held' || claimed.result === 'skipped') {
      await this.#take(claimed, crash);
      await this.#complete(job);
    } else {
      const running = this.#attempts.find(
        (attempt) => attempt.number === number && !attempt.isLost && !attempt.isDouble,
      );
      if (running) throw new Error(`delivery ${number} is attempted twice at once`);
      this.#checkOrder(number);
      await this.#take(claimed, crash);
      job.state = 'active';
      const attempt = claimed.delivery.attempts + 1;
      this.#attempts.push({ number, generation, attempt, job, isLost: false });
    }
  }

  #checkOrder(number: number): void {
    const place = this.#inOrder.indexOf(number);
    const overtaken = this.#inOrder.slice(0, Math.max(0, place)).find((before) => {
      const delivery = this.#picture!.deliveries.get(before)!;
      return isOpen(delivery);
    });
    if (overtaken !== undefined) throw new Error(`${number} overtook ${overtaken} in an ordered lane`);
  }

  /** An attempt ends. */
  async settle(
    pick: number,
    sign: ReceiverSign,
    { isLast, holds, lose, dies }: Crash & { isLast: boolean; holds: boolean; dies: boolean },
  ): Promise<void> {
    const attempt = this.#attempts[pick % this.#attempts.length];
    if (!attempt) return;
    const { number, generation, job } = attempt;
    const status = sign === 'success' ? 'delivered' : isLast ? 'dead' : 'retrying';
    if (sign === 'success') this.#arrived.add(number);
    const settled = await this.#test.settle(number, {
      generation,
      attempt: attempt.attempt,
      status,
      reason: status === 'delivered' ? 'none' : status === 'dead' ? 'retries_exhausted' : 'http_status',
      statusCode: 200,
      delayMs: 5000,
      receiver: { sign, durationMs: 5, holdMs: holds ? 60_000 : 0 },
    });
    this.#attempts = this.#attempts.filter((other) => other !== attempt);
    for (const other of this.#attempts) {
      if (attempt.isLost && other.number === number) other.isDouble = true;
    }
    await this.#look();
    await this.#take(settled, { lose });
    if (attempt.isLost) return;
    if (dies) {
      if (job.state === 'active') job.state = 'waiting';
    } else if (job.state === 'active') {
      if (settled.waits) await this.#complete(job);
      else await this.#tell(job, settled);
    } else if (this.#jobs.has(job.id)) {
      if (!settled.waits && (settled.status === 'retrying' || settled.status === 'dead'))
        job.state = 'waiting';
      else await this.#remove(job);
    }
  }

  /** A receiver that has failed for long gets `times` more, and fails as often. */
  async outage(endpoint: number, times: number): Promise<void> {
    await this.accept(
      Array.from({ length: times }, () => endpoint),
      false,
      { lose: false },
    );
    const name = laneOf(endpoint);
    const isOwn = ({ number }: { number: number }) => this.#picture!.deliveries.get(number)?.lane === name;
    const failure = { isLast: false, holds: false, dies: false, lose: false };
    for (let i = 0; i < times; i++) {
      const { fs } = await this.#test.lane(name);
      if (fs !== undefined) await this.#test.setLane({ fs: Number(fs) - LONG_MS }, name);
      const job = [...this.#jobs.values()].find((one) => one.state === 'waiting' && isOwn(one));
      if (job) await this.#claim(job, { lose: false });
      const place = this.#attempts.findIndex(isOwn);
      if (place >= 0) await this.settle(place, 'failure', failure);
    }
  }

  /** An attempt lasts: it gives up its slot. `dies`: its worker does before the job was moved. */
  async detach(pick: number, how: 'detach' | 'stuck', dies: boolean): Promise<void> {
    const present = this.#attempts.filter(({ isLost }) => !isLost);
    const attempt = present[pick % present.length];
    if (!attempt) return;
    const { number, generation, job } = attempt;
    const isDetached = await this.#test.detach(number, how, LONG_MS, generation, attempt.attempt);
    await this.#look();
    if (job.state !== 'active') return;
    if (dies) this.#lose(attempt, false);
    else if (isDetached) job.state = 'delayed';
  }

  /** A worker has to go: another may attempt it again. */
  async release(pick: number): Promise<void> {
    const detached = this.#attempts.filter(({ isLost, job }) => !isLost && job.state === 'delayed');
    const attempt = detached[pick % detached.length];
    if (!attempt) return;
    await this.#test.detach(attempt.number, 'release', 0, attempt.generation, attempt.attempt);
    await this.#look();
    this.#lose(attempt, false);
  }

  /** A worker dies, or only seems to: `lives`, and it will settle in the end. */
  crash(pick: number, lives: boolean): void {
    const attempt = this.#attempts[pick % this.#attempts.length];
    if (attempt) this.#lose(attempt, lives);
  }

  #lose(attempt: Attempt, lives: boolean): void {
    const hadJob = !attempt.isLost && attempt.job.state === 'active';
    attempt.isLost = true;
    if (!lives) this.#attempts = this.#attempts.filter((other) => other !== attempt);
    // A detached one's job stays delayed until the attempt must have ended.
    if (hadJob) attempt.job.state = 'waiting';
  }

  async pump(slots: number, crash: Crash, maxAgeMs = 3 * 24 * HOUR_MS): Promise<void> {
    const turn = await this.#test.pump({ slots, maxAgeMs });
    await this.#look();
    await this.#take(turn, crash);
  }

  /** Everything is overdue but what is attempted just now. */
  async makeOverdue(): Promise<void> {
    const { client } = this.#test.redis;
    const watch = this.#test.shard.key('watch');
    const attempted = new Set(
      this.#attempts.flatMap(({ isLost, number }) => (isLost ? [] : [String(number)])),
    );
    for (const member of await client.zrange(watch, '0', '-1')) {
      if (!attempted.has(member)) await client.zadd(watch, '1', member);
    }
  }

  async reconcile(crash: Crash): Promise<void> {
    await this.makeOverdue();
    const reply = await this.#test.run('reconcile', [200, 30_000, this.#test.shard.jobPrefix]);
    await this.#look();
    await this.#take({ admitted: readTickets(this.#test.shard, (reply as ScriptReply[]).slice(2)) }, crash);
  }

  async configure(endpoint: number, change: LaneSettings): Promise<void> {
    const settings = this.#settings.get(endpoint);
    if (!settings || this.#ended.has(String(endpoint))) return;
    Object.assign(settings, change);
    for (const [field, value] of Object.entries(change)) {
      if (value === undefined) delete settings[field as keyof LaneSettings];
    }
    const changed = { ...settings };
    if (changed.qh !== undefined) {
      changed.qf = Date.now() - 1000;
      changed.qu = Date.now() + LONG_MS / 2;
    }
    await this.#test.configure({ lanes: { [endpoint]: changed } });
    await this.#look();
  }

  async reopen(endpoint: number): Promise<void> {
    if (endpoint === ORIGIN || this.#ended.has(String(endpoint))) return;
    await this.#test.configure({ reopen: [endpoint] });
    await this.#look();
  }

  /** Time passes for a lane: whatever it waits for is over, and it has failed for long. */
  async pass(endpoint: number): Promise<void> {
    const name = laneOf(endpoint);
    const { client } = this.#test.redis;
    const key = (rest: string) => this.#test.shard.key(rest);
    const lane = await client.hgetall(key(`lane:${name}`));
    for (const field of [
      'fs',
      'cl',
      'pa',
      'nb',
      'sd',
      'qf',
      'qu',
      'ta',
      'cut',
      'z',
      'ps',
      'off',
      'xa',
      'rv',
    ]) {
      const at = lane[field];
      if (at !== undefined) await client.hset(key(`lane:${name}`), field, Number(at) - LONG_MS);
    }
    if (lane.z !== undefined) await client.zadd(key('wake'), Number(lane.z) - LONG_MS, name);
    for (const [set, ms] of [
      ['tok', LONG_MS],
      ['s', 2 * HOUR_MS],
    ] as const) {
      const members = await client.zrange(key(`${set}:${name}`), '0', '-1');
      for (const member of members) await client.zincrby(key(`${set}:${name}`), -ms, member);
    }
    if (lane.sd !== undefined) await this.#test.setLane({ sd: 1, z: 1 }, name);
  }

  /** What held lanes hold has been held for too long. */
  async expireHeld(): Promise<void> {
    for (const [name, lane] of this.#picture!.lanes) {
      if ((lane.ps || lane.off || lane.cl) && lane.q) await this.#test.setLane({ xa: 1, z: 1 }, name);
    }
    await this.pump(3, { lose: false }, 1);
  }

  async cancel(pick: number): Promise<void> {
    const number = this.#pickDelivery(pick);
    if (number === undefined) return;
    const { recordsMs, bodiesMs } = RETENTION;
    const reason = reasonNumber('cancelled_by_request');
    const reply = await this.#test.run('cancel', [number, APP, reason, recordsMs, bodiesMs, 31_000]);
    await this.#look();
    const [result, generation] = (reply as ScriptReply[]).map(text);
    if (result === 'cancelled') await this.#removeIfIdle(number, Number(generation));
  }

  async retry(pick: number, crash: Crash): Promise<void> {
    const number = this.#pickDelivery(pick);
    if (number === undefined) return;
    const reply = (await this.#test.run('retry', [number, APP])) as ScriptReply[];
    await this.#look();
    if (text(reply[0]) !== 'retry') return;
    this.#meddled(number);
    await this.#take({ admitted: readTickets(this.#test.shard, reply.slice(2)) }, crash);
    await this.#removeIfIdle(number, Number(text(reply[1])));
  }

  /** All that has ended at an endpoint is sent again. */
  async replay(endpoint: number): Promise<void> {
    const { client } = this.#test.redis;
    this.#replays += 1;
    const ended = [...this.#picture!.deliveries].filter(
      ([, one]) => one.endpoint === endpoint && !isOpen(one),
    );
    if (ended.length === 0) return;
    await client.hset(this.#test.shard.key(`rpl:${this.#replays}`), {
      state: 'running',
      scanned: 0,
      app: APP,
      endpoint,
    });
    const deliveries = ended.map(([number]) => number);
    await replayStretch(this.#test.shard, {
      replay: this.#replays,
      from: 0,
      to: deliveries.length,
      last: deliveries.at(-1)!,
      depth: deliveries.length,
      done: true,
      deliveries,
      statuses: ['delivered', 'dead', 'cancelled', 'skipped'],
      keepMs: LONG_MS,
    });
    for (const number of deliveries) this.#meddled(number);
    await this.#look();
  }

  /** In Bull Board: "retry" of a failed job. */
  async boardRetry(pick: number): Promise<void> {
    const failed = [...this.#jobs.values()].filter(({ state }) => state === 'failed');
    const job = failed[pick % failed.length];
    if (!job) return;
    this.#meddled(job.number);
    job.state = 'waiting';
    await this.#test.redis.client.hdel(this.#jobKey(job.id), 'finishedOn');
  }

  /** In Bull Board: removal of a job; a locked one cannot be removed. */
  async boardRemove(pick: number): Promise<void> {
    const idle = [...this.#jobs.values()].filter(({ state }) => state !== 'active');
    const job = idle[pick % idle.length];
    if (job) await this.#remove(job);
  }

  async deleteEndpoint(endpoint: number): Promise<void> {
    const name = String(endpoint);
    if (endpoint === ORIGIN || this.#ended.has(name)) return;
    this.#ended.add(name);
    await this.#test.configure({
      del: [formatId('ep', 0, endpoint)],
      end: [endpoint],
      doom: { [endpoint]: 'endpoint' },
    });
    await this.#look();
  }

  /** A stretch of the backlogs of what was deleted. */
  async cancelDeleted(): Promise<boolean> {
    const { recordsMs, bodiesMs } = RETENTION;
    const reasons = [reasonNumber('endpoint_deleted'), reasonNumber('app_deleted')];
    const reply = await this.#test.run('cancel-owner', [3, ...reasons, recordsMs, bodiesMs]);
    await this.#look();
    if (!Array.isArray(reply)) return false;
    for (const id of reply.map(text)) {
      const job = this.#jobs.get(id);
      if (job && job.state !== 'active') await this.#remove(job);
    }
    return true;
  }

  /** Everything is let go, and succeeds. */
  async finish(): Promise<void> {
    while (await this.cancelDeleted());
    this.#attempts = this.#attempts.filter(({ isLost }) => !isLost);
    for (const endpoint of this.#settings.keys()) {
      await this.configure(endpoint, {
        ps: undefined,
        off: undefined,
        qh: undefined,
        qs: undefined,
        mc: undefined,
      });
      await this.reopen(endpoint);
    }
    for (let round = 0; !this.#isQuiet(); round++) {
      if (round === 100) throw new Error('it never ends');
      await this.#finishRound();
    }
    // What was learned of an origin is forgotten in time.
    for (let i = 0; i < 2; i++) {
      if (this.#picture!.lanes.has(laneOf(ORIGIN))) await this.pass(ORIGIN);
      for (const name of this.#picture!.scores.get('wake')?.keys() ?? [])
        await this.#test.setLane({ z: 1 }, name);
      await this.pump(50, { lose: false });
    }
    this.#checkEnd();
    const dead = (await this.#test.outbox())
      .filter(({ t }) => t === 'delivery.dead')
      .map(({ d, n }) => `${d} ${n}`);
    if (new Set(dead).size !== dead.length) throw new Error('an attempt was the last one twice');
  }

  async #finishRound(): Promise<void> {
    const kept = { lose: false };
    const ended = { isLast: true, holds: false, dies: false };
    while (this.#attempts.length > 0) await this.settle(0, 'success', { ...ended, ...kept });
    for (const endpoint of [...this.#settings.keys(), ORIGIN]) {
      if (this.#picture!.lanes.has(laneOf(endpoint))) await this.pass(endpoint);
    }
    await this.pump(50, kept);
    const jobs = [...this.#jobs.values()].filter(({ state }) => state === 'waiting' || state === 'delayed');
    for (const job of jobs) {
      if (job.state === 'waiting' || job.state === 'delayed') await this.#claim(job, kept);
      while (this.#attempts.length > 0) await this.settle(0, 'success', { ...ended, ...kept });
    }
    await this.reconcile(kept);
  }

  #isQuiet(): boolean {
    const { deliveries, scores } = this.#picture!;
    const hasJobs = [...this.#jobs.values()].some(({ state }) => state !== 'completed' && state !== 'failed');
    const isWatched = (scores.get('watch')?.size ?? 0) > 0;
    return !hasJobs && !isWatched && ![...deliveries.values()].some(isOpen);
  }

  #checkEnd(): void {
    const { deliveries, lanes, lists, scores, flow } = this.#picture!;
    const faults: string[] = [];
    for (const number of this.#accepted) {
      const delivery = deliveries.get(number);
      if (!delivery || isOpen(delivery)) faults.push(`${number} has not ended`);
      else if (delivery.status === 'delivered' ? !this.#arrived.has(number) : delivery.reason === 'none') {
        faults.push(`${number} is ${delivery.status} without a reason`);
      } else if (delivery.flags !== 0) faults.push(`${number} has a place`);
    }
    const settings = new Set(['mc', 'or', 'rl', 'rp']);
    for (const [name, lane] of lanes) {
      const left = Object.keys(lane).filter((field) => !settings.has(field));
      // One failure may be the last that an endpoint has seen, and its rate is kept for a while.
      const known = this.#ended.has(name)
        ? []
        : ['fs', 'fd', 'rv', 'ta', 'cut', 'w', 'ca', 'avg', 'rc', 'ac'];
      const odd = left.filter((field) => !known.includes(field) || name.includes('.'));
      if (odd.length > 0) faults.push(`lane ${name} has ${odd.join(', ')}`);
    }
    for (const list of lists.keys()) {
      if (/^([qry]:|ring|fresh)/.test(list)) faults.push(`${list} is not empty`);
    }
    for (const [key, { size }] of scores) {
      if (/^(s:|wake)/.test(key) && size > 0) faults.push(`${key} is not empty`);
    }
    if (flow.in !== 0) faults.push(`flow.in is ${flow.in}`);
    if (faults.length > 0) throw new Error(`at the end:\n${faults.join('\n')}`);
  }

  /** After each step. */
  async #look(): Promise<void> {
    const before = this.#picture;
    await lookAtShard(this.#test.shard);
    this.#picture = await takePicture(this.#test.shard);
    const faults = findFaults(this.#picture, this.#ended);
    if (before) faults.push(...findWrongAdmissions(before, this.#picture));
    if (faults.length > 0) throw new Error(faults.join('\n'));
  }

  #pickDelivery(pick: number): number | undefined {
    return this.#accepted[pick % this.#accepted.length];
  }

  #meddled(number: number): void {
    const place = this.#inOrder.indexOf(number);
    if (place >= 0) this.#inOrder.splice(place, 1);
  }

  /** Jobs for what was admitted. */
  async #take(
    { admitted }: Pick<Turn, 'admitted'> | { admitted: Admitted[] },
    { lose }: Crash,
  ): Promise<void> {
    if (lose) return;
    for (const { number, generation } of admitted) await this.#addJob(number, generation);
  }

  #jobKey(id: string): string {
    return `${this.#test.shard.jobPrefix}${id}`;
  }

  /** In BullMQ an id that is there already makes no second job, so none may be used again. */
  async #addJob(number: number, generation: number): Promise<void> {
    const id = jobId(formatId('dlv', 0, number), generation);
    if (this.#jobs.has(id)) throw new Error(`there is a job ${id} already`);
    this.#jobs.set(id, { id, number, generation, made: 0, state: 'waiting' });
    await this.#test.redis.client.hset(this.#jobKey(id), 'name', 'a.b');
  }

  async #tell(job: Job, outcome: Outcome): Promise<void> {
    if (outcome.status === 'retrying') {
      job.made += 1;
      job.state = 'delayed';
    } else if (outcome.status === 'dead') {
      await this.#finishJob(job, 'failed');
    } else {
      await this.#complete(job);
    }
  }

  #complete(job: Job): Promise<void> {
    return this.#finishJob(job, 'completed');
  }

  async #finishJob(job: Job, state: 'failed' | 'completed'): Promise<void> {
    job.made += 1;
    job.state = state;
    await this.#test.redis.client.hset(this.#jobKey(job.id), 'finishedOn', '1');
  }

  async #remove(job: Job): Promise<void> {
    this.#jobs.delete(job.id);
    await this.#test.redis.client.del(this.#jobKey(job.id));
  }

  async #removeIfIdle(number: number, generation: number): Promise<void> {
    const job = this.#jobs.get(jobId(formatId('dlv', 0, number), generation));
    if (job && job.state !== 'active') await this.#remove(job);
  }
}

/** The name of an endpoint's lane. */
function laneOf(endpoint: number): string {
  return endpoint === ORIGIN ? `${APP}.a0` : String(endpoint);
}
