import { AggregatorRegistry, type Registry } from 'prom-client';
import { createParentMetrics, type ParentMetrics, type Snapshot } from './registry.ts';
import { watchReadiness } from './watch-readiness.ts';

/** Several processes have 2 s to say whether they are ready, as for `/readyz`: these metrics shall say the same. */
const READY_MS = 2500;

/**
 * The metrics of several processes and their parent as if they were one, so that it is one target to Prometheus whichever
 * process answers.
 *
 * Invariant: no counter ever gets smaller. What a process had counted when it was last heard stays in the sum after its
 * end; what it counted later is lost with it, as with every process that dies between two scrapes. (A label per
 * process would keep them apart, but with a number it would go back to 0 with each restart, and with a name for each
 * start there would be ever more series; and the API's port is answered by any of them.)
 */
export class AddedUpMetrics {
  readonly #parent: ParentMetrics = createParentMetrics();
  readonly #last = new Map<object, Snapshot>();
  #ended: Snapshot = [];

  /** @param notReady of all together; undefined: ready */
  constructor(notReady: () => Promise<string | undefined>) {
    watchReadiness(this.#parent, notReady, READY_MS);
  }

  heard(process: object, metrics: unknown): void {
    this.#last.set(process, metrics as Snapshot);
  }

  ended(process: object): void {
    const last = this.#last.get(process);
    this.#last.delete(process);
    if (last) this.#ended = valuesOf(AggregatorRegistry.aggregate([this.#ended, countedIn(last)]));
  }

  died(): void {
    this.#parent.instruments.processDeaths.inc();
  }

  /** In Prometheus' text format. One that has not answered has no gauges: nobody knows how it is now. */
  async text(answered: ReadonlySet<object>): Promise<string> {
    const parent = await this.#parent.snapshot();
    const living = [...this.#last].map(([process, last]) => (answered.has(process) ? last : countedIn(last)));
    return AggregatorRegistry.aggregate([parent, ...living, this.#ended]).metrics();
  }
}

function countedIn(snapshot: Snapshot): Snapshot {
  // `type` is typed as a number, and is a word.
  return snapshot.filter(({ type }) => String(type) !== 'gauge');
}

/** Of an aggregated registry: its metrics are at hand, without waiting, whatever the type says. */
function valuesOf(registry: Registry): Snapshot {
  return registry
    .getMetricsAsArray()
    .map((metric) => (metric as unknown as { get(): Snapshot[number] }).get());
}
