import type { ManagedProcess } from '@sealpost/scripts/managed-process';
import { describeDeath } from '@sealpost/scripts/until-ready';

/** Whatever ends the benchmark, an error or Ctrl-C, leaves nothing behind; what comes last is undone first. */
const undos: (() => void)[] = [];

export function atExit(undo: () => void): void {
  if (undos.length === 0) {
    process.once('exit', () => {
      for (const last of undos.toReversed()) last();
    });
  }
  undos.push(undo);
}

export function endAtExit(child: ManagedProcess): void {
  atExit(() => child.exit ?? void child.kill('SIGKILL'));
}

/** Figures of a system with a dead process would mean nothing: the benchmark ends. */
export function failWith(child: ManagedProcess): void {
  void child.exited.then(() => {
    if (child.stopping) return;
    console.error(describeDeath(child));
    process.exit(1);
  });
}

/** What BENCH_LOGS=1 shows of a child. */
export function logsOf(name: string): { onLine?: (line: string) => void } {
  return process.env.BENCH_LOGS ? { onLine: (line) => console.error(`${name}: ${line}`) } : {};
}
