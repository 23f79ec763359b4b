/** An attempt that is under way, as the worker's slots see it. */
export type Attempt = {
  number: number;
  generation: number;
  /** Which attempt of its delivery, from 1. */
  attempt: number;
  /** Name of its lane, for the share of the detached that one lane may have. */
  lane: string;
  /** Monotonic, ms. */
  startedAt: number;
  timeoutMs: number;
  /** What the lane's attempts usually take, ms; 0: not known. */
  averageMs: number;
};

/** An attempt gives up its slot after this, ms. */
const DETACH_MS = 1000;
/** And after this while all slots are taken: a request that waits for its answer costs no CPU. */
const DETACH_WHEN_FULL_MS = 50;
/** An attempt that lasts longer than this many times what is usual for its lane is stuck. */
const UNUSUAL = 4;
/** Detached attempts of a process, over all shards; each costs a socket. */
export const MOST_DETACHED = 2000;
/** From so many on, every detached attempt counts as stuck, whatever is usual. */
const MANY_DETACHED = 1500;
/** Of them, one lane may have this many. */
const MOST_OF_A_LANE = MOST_DETACHED / 8;

/** How to detach, and to tell that one is stuck. */
export type Detaching = {
  /** Answers whether it was detached; `failed`: it may be tried again. */
  detach(attempt: Attempt, stuck: boolean): Promise<boolean | 'failed'>;
  tellStuck(attempt: Attempt): void;
};

/** What the shards of a process share. */
export type DetachedCount = { count: number };

/** Decides which attempts keep their slots, so that receivers that hang do not take those of the others. */
export class Attempts {
  readonly #slots: () => number;
  readonly #detaching: Detaching;
  readonly #all: DetachedCount;
  readonly #now: () => number;
  /** In order of their start. */
  readonly #running = new Set<Attempt>();
  readonly #detached = new Map<Attempt, NodeJS.Timeout | undefined>();
  readonly #ofLane = new Map<string, number>();
  readonly #ended = new WeakSet<Attempt>();
  /** Jobs that have a slot, also before and after their attempt. */
  #taken = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(
    slots: () => number,
    detaching: Detaching,
    all: DetachedCount,
    now: () => number = () => performance.now(),
  ) {
    this.#slots = slots;
    this.#detaching = detaching;
    this.#all = all;
    this.#now = now;
  }

  takeSlot(): void {
    this.#taken += 1;
    this.#arm();
  }

  freeSlot(): void {
    this.#taken -= 1;
  }

  start(attempt: Attempt): void {
    this.#running.add(attempt);
    this.#arm();
  }

  end(attempt: Attempt): void {
    this.#ended.add(attempt);
    this.#running.delete(attempt);
    this.#forget(attempt);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  get detached(): number {
    return this.#detached.size;
  }

  get #isFull(): boolean {
    return this.#taken >= this.#slots();
  }

  get #patienceMs(): number {
    return this.#isFull ? DETACH_WHEN_FULL_MS : DETACH_MS;
  }

  #arm(): void {
    const [oldest] = this.#running;
    if (!oldest) return;
    const at = oldest.startedAt + this.#patienceMs;
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const least = this.#all.count < MOST_DETACHED ? 1 : DETACH_WHEN_FULL_MS;
    this.#timer = setTimeout(() => this.#look(), Math.max(least, at - this.#now()));
  }

  #look(): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const patience = this.#patienceMs;
    const now = this.#now();
    for (const attempt of this.#running) {
      if (now - attempt.startedAt < patience || this.#all.count >= MOST_DETACHED) break;
      this.#running.delete(attempt);
      if ((this.#ofLane.get(attempt.lane) ?? 0) < MOST_OF_A_LANE)
        this.#detach(attempt, now - attempt.startedAt);
    }
    this.#arm();
  }

  #detach(attempt: Attempt, age: number): void {
    const isMany = this.#all.count >= MANY_DETACHED;
    const unusual = isMany ? 0 : Math.max(this.#patienceMs, UNUSUAL * attempt.averageMs);
    const stuck = age >= unusual;
    const later = stuck ? undefined : setTimeout(() => this.#detaching.tellStuck(attempt), unusual - age);
    this.#detached.set(attempt, later);
    this.#all.count += 1;
    this.#countLane(attempt.lane, 1);
    void this.#detaching.detach(attempt, stuck).then((detached) => {
      if (detached !== true) this.#forget(attempt);
      if (detached === 'failed') setTimeout(() => this.#tryAgain(attempt), DETACH_MS);
    });
  }

  #tryAgain(attempt: Attempt): void {
    if (this.#ended.has(attempt)) return;
    this.#running.add(attempt);
    this.#arm();
  }

  #forget(attempt: Attempt): void {
    if (!this.#detached.has(attempt)) return;
    clearTimeout(this.#detached.get(attempt));
    this.#detached.delete(attempt);
    this.#all.count -= 1;
    this.#countLane(attempt.lane, -1);
  }

  #countLane(lane: string, by: number): void {
    const count = (this.#ofLane.get(lane) ?? 0) + by;
    if (count > 0) this.#ofLane.set(lane, count);
    else this.#ofLane.delete(lane);
  }
}
