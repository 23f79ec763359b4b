import { LauncherError } from './launcher-error.ts';
import { findFreePort, isPortFree } from './ports.ts';

/** Chooses ports for processes that do not run yet, so that no two get the same. */
export class PortChooser {
  readonly #env: NodeJS.ProcessEnv;
  readonly #chosen: number[] = [];

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /** The first port from this one on that nobody uses. */
  async free(preferred: number, host = '127.0.0.1'): Promise<number> {
    const port = await findFreePort(preferred, host, this.#chosen);
    this.#chosen.push(port);
    return port;
  }

  /** The port that the setting names, else the first free one. Throws a LauncherError when the named one is taken. */
  async fromSetting(name: string, preferred: number, host: string): Promise<number> {
    const given = this.#env[name];
    if (!given) return this.free(preferred, host);
    const port = Number(given);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new LauncherError(`${name} must be a number from 1 to 65535.`);
    }
    if (this.#chosen.includes(port) || !(await isPortFree(port, host))) {
      throw new LauncherError(
        `Port ${port} (${name}) is taken on ${host}. Set ${name} to a free one, or leave it out and one is chosen.`,
      );
    }
    this.#chosen.push(port);
    return port;
  }
}
