import { setTimeout as delay } from 'node:timers/promises';
import { FAULTS, type Fault } from './faults.ts';
import type { Member } from './member.ts';
import type { Random } from './random.ts';
import type { Strike } from './strikes.ts';
import type { World } from './world.ts';

export type InjectorOptions = {
  world: World;
  random: Random;
  /** Only faults that are over within seconds. */
  quick: boolean;
  /** Only faults whose name has one of these in it; none: all. */
  only: string[];
  /** ms between two faults, from and to. */
  pause: [number, number];
  say: (line: string) => void;
};

const SECOND_AT_ONCE = 0.2;

/** Has faults strike, each as often as the others, in an order that the seed decides. */
export class Injector {
  readonly strikes: Strike[] = [];
  /** Faults that cannot be had here, with the reason. */
  readonly skipped: [name: string, why: string][] = [];
  readonly #options: InjectorOptions;
  readonly #faults: Fault[] = [];
  readonly #underWay = new Set<Promise<void>>();
  readonly #wentWrong = Promise.withResolvers<never>();
  #bag: Fault[] = [];
  #redisBusy = false;

  constructor(options: InjectorOptions) {
    this.#options = options;
    this.#wentWrong.promise.catch(() => {}); // told by run()
    for (const fault of FAULTS) {
      const why = fault.unavailable?.(options.world);
      const isMeant = options.only.length === 0 || options.only.some((part) => fault.name.includes(part));
      if (why) this.skipped.push([fault.name, why]);
      else if (isMeant && (fault.quick || !options.quick)) this.#faults.push(fault);
    }
  }

  /**
   * Strikes until `until` (ms since the epoch), or each once when that is undefined, and ends when all is over.
   * Rejects as soon as a fault goes wrong itself: what it left, a Redis that does not come up, say, is nothing to judge by.
   */
  async run(until: number | undefined): Promise<void> {
    await Promise.race([this.#run(until), this.#wentWrong.promise]);
  }

  async #run(until: number | undefined): Promise<void> {
    const { random, pause } = this.#options;
    this.#bag = random.shuffled(this.#faults);
    for (let once = this.#bag.length; until === undefined ? once > 0 : Date.now() < until; ) {
      const count = until !== undefined && random.chance(SECOND_AT_ONCE) ? 2 : 1;
      for (let i = 0; i < count; i++) if (this.#strikeNext()) once -= 1;
      await delay(random.between(...pause));
    }
    await Promise.all(this.#underWay);
  }

  /** The next one of the bag for which there is room. */
  #strikeNext(): boolean {
    const { random } = this.#options;
    if (this.#bag.length === 0) this.#bag = random.shuffled(this.#faults);
    for (const [i, fault] of this.#bag.entries()) {
      const members = this.#take(fault);
      if (!members) continue;
      this.#bag.splice(i, 1);
      const striking = this.#strike(fault, members).finally(() => this.#underWay.delete(striking));
      this.#underWay.add(striking);
      return true;
    }
    return false;
  }

  /** The processes that it hits, kept from other faults; undefined: another one has what it needs. */
  #take({ takes }: Fault): Member[] | undefined {
    const { world, random } = this.#options;
    if (takes === 'redis') {
      if (this.#redisBusy) return undefined;
      this.#redisBusy = true;
      return [];
    }
    const free = world.members.filter(
      ({ busy, kind }) => !busy && (takes === 'all' || takes === 'either' || kind === takes),
    );
    if (free.length === 0 || (takes === 'all' && free.length < world.members.length)) return undefined;
    const taken = takes === 'all' ? free : [random.pick(free)];
    for (const member of taken) member.busy = true;
    return taken;
  }

  async #strike(fault: Fault, members: Member[]): Promise<void> {
    const { world, random, say } = this.#options;
    const hit = members.filter(({ kind }) => kind === 'worker').length;
    const workers = fault.takes === 'redis' ? world.workers.length : hit;
    const strike: Strike = {
      fault: fault.name,
      target: fault.takes === 'all' ? '' : members.map(({ name }) => name).join(', '),
      startedAt: Date.now(),
      endedAt: Number.POSITIVE_INFINITY,
      repeats: workers > 0 ? fault.repeats : undefined, // an API posts nothing
      losesRedis: fault.losesRedis ?? false,
      workers,
    };
    this.strikes.push(strike);
    say(`${strike.fault}${strike.target && ` (${strike.target})`}`);
    const began = () => {
      strike.startedAt = Date.now();
    };
    try {
      await fault.strike({ world, random: random.fork(), member: members[0]!, members, began });
    } catch (error) {
      this.#wentWrong.reject(new Error(`${fault.name} went wrong`, { cause: error }));
    } finally {
      strike.endedAt = Date.now();
      const lasted = strike.endedAt - strike.startedAt;
      if (lasted > 1000)
        say(`  … over after ${(lasted / 1000).toFixed(1)} s: ${strike.fault} ${strike.target}`);
      for (const member of members) member.busy = false;
      if (fault.takes === 'redis') this.#redisBusy = false;
    }
  }
}
