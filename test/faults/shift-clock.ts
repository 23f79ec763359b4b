/*
 * Loaded into a process under test by `node --import`: on SIGUSR2 its clock jumps to where FAULTS_CLOCK_FILE says, in ms
 * from the real time. Only Date does, as when a machine's clock is set: timers and `performance.now()` go on.
 */
import { readFileSync } from 'node:fs';

const RealDate = Date;
let shift = 0;

class ShiftedDate extends RealDate {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(RealDate.now() + shift);
    else super(...(args as [number]));
  }

  static override now(): number {
    return RealDate.now() + shift;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return Object.prototype.toString.call(value) === '[object Date]';
  }
}

const file = process.env.FAULTS_CLOCK_FILE;
if (file) {
  globalThis.Date = ShiftedDate as DateConstructor;
  process.on('SIGUSR2', () => {
    shift = Number(readFileSync(file, 'utf8')) || 0;
  });
}
