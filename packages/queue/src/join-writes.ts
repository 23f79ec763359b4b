import type { Redis } from 'ioredis';

/**
 * What a connection is asked for in one turn of the event loop goes out in one system call when the turn ends: a call for
 * each command costs as much as making the command, and Redis as much again.
 */
export function joinWrites<R extends Redis>(redis: R): R {
  const send = redis.sendCommand;
  let joining = false;
  redis.sendCommand = function (...args) {
    const { stream } = this;
    if (stream && !joining) {
      joining = true;
      stream.cork();
      // When all sockets have been heard that had something to say.
      setImmediate(() => {
        joining = false;
        stream.uncork();
      });
    }
    return send.apply(this, args);
  };
  return redis;
}
