import { existsSync, globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

const PLACES = '/usr/lib/*/faketime/libfaketimeMT.so.1';

/** A clock for Redis that can be set, where libfaketime is installed; FAULTS_LIBFAKETIME names it elsewhere. */
export class RedisClock {
  /** For the server's process. */
  readonly env: NodeJS.ProcessEnv;
  readonly #file: string;

  private constructor(library: string, file: string) {
    this.#file = file;
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      // Timers go on when a machine's clock is set.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** Undefined where there is no libfaketime. @param file that tells it the time */
  static async find(file: string): Promise<RedisClock | undefined> {
    const library = process.env.FAULTS_LIBFAKETIME ?? globSync(PLACES)[0];
    if (library === undefined || !existsSync(library)) return undefined;
    const clock = new RedisClock(library, file);
    await clock.shift(0);
    return clock;
  }

  /** It is off by so many seconds from now on. */
  async shift(seconds: number): Promise<void> {
    await writeFile(this.#file, `${seconds < 0 ? '' : '+'}${seconds}s\n`);
  }
}
