import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The oldest Redis that Sealpost runs on. */
export const OLDEST_REDIS = '6.2';

/** The version that a server binary says it has, such as `7.0.15`; undefined when it cannot be run. */
export async function versionOf(serverPath: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(serverPath, ['--version'], { timeout: 10_000 });
    return /\bv=(\d+(?:\.\d+)+)/.exec(stdout)?.[1];
  } catch {
    return undefined; // not there, not executable, or for another architecture: no server for us
  }
}

/** Whether a version, with or without a Debian epoch and revision (`5:7.0.15-1`), is new enough. */
export function isNewEnough(version: string): boolean {
  const [, major = '0', minor = '0'] = /^(?:\d+:)?(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_REDIS.split('.').map(Number);
  return Number(major) > oldestMajor || (Number(major) === oldestMajor && Number(minor) >= oldestMinor);
}
