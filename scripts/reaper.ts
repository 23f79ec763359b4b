import { type ChildProcess, spawn } from 'node:child_process';

/*
 * A parent that is killed with SIGKILL cannot stop its children, and there is no portable way to bind their
 * life to its own. So a tiny shell beside us reads the numbers of our children from a pipe; when the pipe ends,
 * we are gone, and it ends those that are left. It sits in its own session, out of reach of Ctrl-C.
 */
const SHELL = `
trap '' INT TERM HUP
pids=' '
while read -r op pid; do
  case $op in
    +) pids="$pids$pid " ;;
    -) case $pids in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
left=$1
while [ "$left" -gt 0 ]; do
  alive=
  for pid in $pids; do kill -0 "$pid" 2>/dev/null && alive=1; done
  [ -z "$alive" ] && exit 0
  sleep 1
  left=$((left - 1))
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
`;

/** Seconds that orphans get between SIGTERM and SIGKILL: the 25 s of a drain and a little more. */
const GRACE_SECONDS = 28;

let reaper: ChildProcess | undefined;

/**
 * Puts a child under the reaper's eye: should this process die without stopping it, the child is ended.
 * Returns the function to call when the child has ended by itself, before its number is given out again.
 */
export function watchOver(pid: number): () => void {
  reaper ??= startReaper();
  reaper.stdin?.write(`+ ${pid}\n`);
  return () => void reaper?.stdin?.write(`- ${pid}\n`);
}

function startReaper(): ChildProcess {
  const child = spawn('/bin/sh', ['-c', SHELL, 'sealpost-reaper', String(GRACE_SECONDS)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without the reaper everything works, only a SIGKILL would leave children behind.
  child.on('error', () => {});
  child.stdin?.on('error', () => {});
  child.unref();
  (child.stdin as unknown as { unref?(): void } | null)?.unref?.();
  return child;
}
