import { readFile } from 'node:fs/promises';
import { delay, eventually } from './clock.ts';
import type { Stack } from './stack.ts';
import { info } from './usage.ts';

/** Bytes in use once nothing transient is among them: a rewrite of the append-only file buffers what is written. */
export async function settledMemory(stack: Stack): Promise<number> {
  const rewriting = async () => (await info(stack, 'aof_rewrite_in_progress')) === 0;
  await delay(3000);
  await eventually(rewriting, { timeoutMs: 60_000 });
  await delay(1000);
  return (await info(stack, 'used_memory')) - (await info(stack, 'mem_not_counted_for_evict'));
}

/** Memory that a process holds, bytes. Linux only. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
