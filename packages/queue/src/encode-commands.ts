import { Command } from 'ioredis';

type Encoded = Pick<Command, 'name'> & { args: (string | Buffer)[]; bufferMode?: boolean };

/**
 * A command with bytes among its arguments, in the protocol of Redis. ioredis makes such a command of a piece for each
 * argument, each measured three times and copied by itself, which took a seventh of an API's CPU time: here texts that stand
 * together are one piece.
 */
function encode({ name, args }: Encoded): Buffer {
  const pieces: (string | Buffer)[] = [];
  let text = `*${args.length + 1}\r\n$${Buffer.byteLength(name)}\r\n${name}\r\n`;
  for (const arg of args) {
    if (typeof arg === 'string') {
      text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`;
      continue;
    }
    pieces.push(`${text}$${arg.length}\r\n`, arg);
    text = '\r\n';
  }
  pieces.push(text);
  return join(pieces);
}

function join(pieces: (string | Buffer)[]): Buffer {
  let size = 0;
  for (const piece of pieces) size += Buffer.byteLength(piece);
  const joined = Buffer.allocUnsafe(size);
  let at = 0;
  for (const piece of pieces) {
    at += typeof piece === 'string' ? joined.write(piece, at) : piece.copy(joined, at);
  }
  return joined;
}

const { toWritable } = Command.prototype;

/** For all connections of the process: scripts inherit it. */
Command.prototype.toWritable = function (socket) {
  const command = this as unknown as Encoded;
  return command.bufferMode ? encode(command) : toWritable.call(this, socket);
};
