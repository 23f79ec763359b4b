import { readdir, readFile } from 'node:fs/promises';
import { delay, now } from './clock.ts';
import type { Stack } from './stack.ts';

/** What the processes used in a stretch of time. CPU in percent of one core. */
export type Usage = {
  seconds: number;
  workersCpu: number[];
  apiCpu: number;
  redisCpu: number;
  /** Commands that Redis ran, a second. */
  commands: number;
};

const TICKS_PER_SECOND = 100; // USER_HZ of proc(5), the same on every Linux

/** Looks at all processes for so long. Linux only. */
export async function measureUsage(stack: Stack, seconds: number): Promise<Usage> {
  const look = async () => ({
    at: now(),
    workers: await Promise.all(stack.workers.map(({ pid }) => cpuSeconds(pid!))),
    api: await cpuSeconds(stack.apiPid),
    redis: await cpuSeconds(stack.redisPid),
    commands: await info(stack, 'total_commands_processed'),
  });
  const before = await look();
  await delay(seconds * 1000);
  const after = await look();
  const elapsed = (after.at - before.at) / 1000;
  const percent = (from: number, to: number) => ((to - from) / elapsed) * 100;
  return {
    seconds: elapsed,
    workersCpu: after.workers.map((cpu, i) => percent(before.workers[i]!, cpu)),
    apiCpu: percent(before.api, after.api),
    redisCpu: percent(before.redis, after.redis),
    commands: (after.commands - before.commands - 1) / elapsed,
  };
}

/** A number of Redis' INFO. */
export async function info(stack: Stack, field: string): Promise<number> {
  const text = await stack.redis.info();
  return Number(new RegExp(`^${field}:(.*)$`, 'm').exec(text)?.[1]);
}

/** What all cores together have worked so far, and how much of it this process and all that it has started, in seconds. */
export async function machineSeconds(): Promise<{ all: number; ours: number }> {
  const [line] = (await readFile('/proc/stat', 'utf8')).split('\n');
  const [user, nice, system, , , irq, softirq] = line!
    .replace(/^cpu +/, '')
    .split(' ')
    .map(Number);
  const all = (user! + nice! + system! + irq! + softirq!) / TICKS_PER_SECOND;
  return { all, ours: await familySeconds(process.pid) };
}

/** What a process and its descendants have used, also those that have ended. */
async function familySeconds(ancestor: number): Promise<number> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = new Map<number, string[]>();
  await Promise.all(
    names.map(async (pid) => {
      const fields = await statOf(Number(pid)).catch(() => undefined); // it has just ended
      if (fields) stats.set(Number(pid), fields);
    }),
  );
  const family = new Set([ancestor]);
  // A set that grows is iterated to its end.
  for (const member of family) {
    for (const [pid, [, parent]] of stats) if (Number(parent) === member) family.add(pid);
  }
  let ticks = 0;
  // utime, stime, and cutime, cstime: of children that have ended.
  for (const pid of family) for (const field of stats.get(pid)?.slice(11, 15) ?? []) ticks += Number(field);
  return ticks / TICKS_PER_SECOND;
}

/** CPU time that the threads of a process have used, in seconds, to the nanosecond; of threads that have ended, none. */
export async function exactCpuSeconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const texts = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0')),
  );
  return texts.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1e9;
}

/** User and system time that a process has used. */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = await statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The fields of proc(5)'s `stat` from the third on, the state: the second is the command and may hold spaces itself. */
async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
