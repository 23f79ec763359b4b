import { type RedisClient, WriteProbe } from '@sealpost/queue';
import type { PublishEvents } from './ingest/publish-events.ts';

/** Whether this API can do its work now. One that sheds load can: it answers reads, pauses and cancels as ever. */
export class Readiness {
  draining = false;
  /** Something stored needs a master key that this process does not have; only other settings can change that. */
  unknownKey = false;
  readonly #redis: WriteProbe;
  readonly #publish: Pick<PublishEvents, 'isConnected'>;

  /**
   * @param client on which Redis is asked: not behind whatever is being published, which may take long and is no trouble
   * @param publish with connections of its own
   */
  constructor(client: RedisClient, publish: Pick<PublishEvents, 'isConnected'>) {
    this.#redis = new WriteProbe(client);
    this.#publish = publish;
  }

  /** Undefined: ready. Else why not, in a few words. */
  async notReady(): Promise<string | undefined> {
    if (this.draining) return 'draining';
    if (this.unknownKey) return 'something is stored under a master key that is not known here';
    const trouble = await this.#redis.trouble();
    if (trouble !== undefined || this.#publish.isConnected) return trouble;
    return 'Redis cannot be reached for publishing';
  }
}
