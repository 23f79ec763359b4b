import { join } from 'node:path';
import { Receivers } from '../harness/receivers.ts';
import { percentile } from '../harness/statistics.ts';
import { keepUnderWay, untilArrived } from '../main/load.ts';
import { meter } from '../main/meter.ts';
import type { Sample } from '../main/rounds.ts';
import type { App } from '../main/sealpost.ts';
import type { Target } from '../main/system.ts';
import { Systems } from '../main/systems.ts';
import type { Costs, Unit } from './compare.ts';
import { type Commands, countCommands, countIdle, fewest, noJobs } from './count-commands.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const DELIVERIES = 400;
const AT_ONCE = 32;
/** Until the code is compiled. */
const WARM_UP = 4;
const ROUNDS = 6;
const COUNTED_ROUNDS = 8;
const COUNTED = 10;
const PROCESSES = ['api', 'worker', 'redis'];
/** Other work on the machine only ever adds to CPU time; instructions vary to both sides, by compiling and collecting. */
const USUAL: Record<Unit, number> = { instructions: 0.5, cpu: 0.2 };

/** A small Sealpost and the naive sender beside it, both on undici, measured in turns. */
export class Guard {
  readonly #systems: Systems;
  readonly #instructions: boolean;
  readonly #naive: Target;
  readonly #app: App;
  readonly #paused: App;
  #idle: Commands | undefined;
  readonly #rounds: { naive: Sample; sealpost: Sample }[] = [];

  private constructor(systems: Systems, instructions: boolean, naive: Target, app: App, paused: App) {
    this.#systems = systems;
    this.#instructions = instructions;
    this.#naive = naive;
    this.#app = app;
    this.#paused = paused;
  }

  static async start({ instructions }: { instructions: boolean }): Promise<Guard> {
    const systems = new Systems(new Receivers());
    const naive = await systems.naive('undici');
    const sealpost = await systems.sealpost('Sealpost', ROOT, 'undici');
    const app = await sealpost.app('bench', { endpoints: 10 });
    const paused = await sealpost.app('paused', { endpoints: 1 });
    await paused.eachEndpoint('pause');
    const guard = new Guard(systems, instructions, naive, app, paused);
    for (let round = 0; round < WARM_UP; round += 1) await guard.#round();
    guard.#rounds.length = 0;
    return guard;
  }

  /** Counts commands, and measures some rounds: all that there were so far count. */
  async measure(): Promise<Costs> {
    for (let round = 0; round < ROUNDS; round += 1) await this.#round();
    const ratios: Costs['ratios'] = { cpu: this.#ratios('cpu') };
    if (this.#instructions) ratios.instructions = this.#ratios('instructions');
    return { commands: await this.#commands(), ratios };
  }

  stop(): Promise<void> {
    return this.#systems.stop();
  }

  async #round(): Promise<void> {
    this.#rounds.push({ naive: await this.#load(this.#naive), sealpost: await this.#load(this.#app) });
  }

  #load(target: Target): Promise<Sample> {
    const load = { total: DELIVERIES, atOnce: AT_ONCE, send: (n: number) => target.publish(n) };
    const options = { instructions: this.#instructions };
    return meter(target.system, DELIVERIES, () => keepUnderWay(target.arrivals, load), options);
  }

  /** Of the whole naive sender, whose processes vary more, each by itself, than all together. */
  #ratios(unit: Unit): Record<string, number> {
    const usual = (who: 'naive' | 'sealpost', name: string) =>
      percentile(
        this.#rounds.map((round) => round[who][unit]![name]!).toSorted((a, b) => a - b),
        USUAL[unit],
      );
    const naive = PROCESSES.reduce((sum, name) => sum + usual('naive', name), 0);
    return Object.fromEntries(PROCESSES.map((name) => [name, usual('sealpost', name) / naive]));
  }

  async #commands(): Promise<Costs['commands']> {
    const system = this.#app.system;
    const operations = {
      'an event, published and delivered': async (n: number) => {
        await untilArrived(this.#app.arrivals, 1, () => this.#app.publish(n));
        await noJobs(system);
      },
      'an event, published to a paused endpoint': () => this.#paused.publish(0),
      'ten events, published in a batch to a paused endpoint': () => this.#paused.publishBatches(10, 10),
    };
    this.#idle ??= await countIdle(system);
    const commands: Costs['commands'] = {};
    for (const [name, operation] of Object.entries(operations)) {
      const rounds: Commands[] = [];
      for (let round = 0; round < COUNTED_ROUNDS; round += 1) {
        rounds.push(await countCommands(system, COUNTED, this.#idle, operation));
      }
      commands[name] = fewest(rounds);
    }
    return commands;
  }
}
