import { type RedisClient, WriteProbe } from '@sealpost/queue';

/** Whether this API can do its work now. One that sheds load can: it answers reads, pauses and cancels as ever. */
export class Readiness {
  draining = false;
  /** Something stored needs a master key that this process does not have; only other settings can change that. */
  unknownKey = false;
  readonly #redis: WriteProbe;

  constructor(client: RedisClient) {
    this.#redis = new WriteProbe(client);
  }

  /** Undefined: ready. Else why not, in a few words. */
  async notReady(): Promise<string | undefined> {
    if (this.draining) return 'draining';
    if (this.unknownKey) return 'something is stored under a master key that is not known here';
    return this.#redis.trouble();
  }
}
