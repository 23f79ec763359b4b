import { type RedisClient, WriteProbe } from '@sealpost/queue';

/** Whether this API can do its work now. One that sheds load can: it answers reads, pauses and cancels as ever. */
export class Readiness {
  draining = false;
  /** Something stored needs a master key that this process does not have; only other settings can change that. */
  unknownKey = false;
  readonly #redis: WriteProbe;
  readonly #publishing: Pick<RedisClient, 'status'>;

  /**
   * @param client on which Redis is asked: not behind whatever is being published, which may take long and is no trouble
   * @param publishing the connection for that
   */
  constructor(client: RedisClient, publishing: Pick<RedisClient, 'status'>) {
    this.#redis = new WriteProbe(client);
    this.#publishing = publishing;
  }

  /** Undefined: ready. Else why not, in a few words. */
  async notReady(): Promise<string | undefined> {
    if (this.draining) return 'draining';
    if (this.unknownKey) return 'something is stored under a master key that is not known here';
    const trouble = await this.#redis.trouble();
    if (trouble !== undefined || this.#publishing.status === 'ready') return trouble;
    return 'Redis cannot be reached for publishing';
  }
}
