import type { Redis } from 'ioredis';

/** So much goes out at once even if the turn goes on, bytes: Redis shall have something to do meanwhile. */
const ENOUGH = 32 * 1024;

/**
 * What a connection is asked for in one turn of the event loop goes out in one system call when the turn ends: a call for
 * each command costs as much as making the command, and Redis as much again.
 */
export function joinWrites<R extends Redis>(redis: R): R {
  const send = redis.sendCommand;
  let joined: typeof redis.stream | undefined;
  redis.sendCommand = function (...args) {
    const { stream } = this;
    if (stream && stream !== joined) {
      joined = stream;
      stream.cork();
      // When all sockets have been heard that had something to say.
      setImmediate(() => {
        if (joined === stream) joined = undefined;
        stream.uncork();
      });
    }
    const answer = send.apply(this, args);
    if (joined && joined.writableLength >= ENOUGH) {
      joined.uncork();
      joined.cork();
    }
    return answer;
  };
  return redis;
}
