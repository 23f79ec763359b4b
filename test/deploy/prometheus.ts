import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { anyFreePort } from '@sealpost/scripts/ports';
import { stringify } from 'yaml';
import { stopAfterAll } from '../harness/cleanup.ts';
import { waitFor, watchProcess } from '../harness/index.ts';
import { readYaml } from './files.ts';

export const hasPrometheus = spawnSync('prometheus', ['--version']).status === 0;

type Alert = { labels: Record<string, string>; state: string };

/**
 * A real Prometheus with the configuration and the alerts that are shipped, but that it looks every second, finds the
 * processes where the test has them, and lets an alert fire at once where the shipped one waits.
 */
export class TestPrometheus {
  /** Alerts that were waited for, and fired. */
  readonly seen = new Set<string>();
  readonly #url: string;

  private constructor(url: string) {
    this.#url = url;
  }

  /** @param targets of each job: `127.0.0.1:8080` */
  static async start(targets: Record<string, string[]>, apiKey: string): Promise<TestPrometheus> {
    const dir = mkdtempSync(join(tmpdir(), 'sealpost-prometheus-'));
    const config = readYaml('deploy/prometheus/prometheus.yml');
    config.global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' };
    for (const job of config.scrape_configs) {
      delete job.dns_sd_configs;
      job.static_configs = [{ targets: targets[job.job_name] }];
      if (job.authorization) job.authorization.credentials_file = join(dir, 'key');
    }
    const rules = readYaml('deploy/prometheus/alerts.yml');
    for (const rule of rules.groups.flatMap((group: { rules: object[] }) => group.rules)) delete rule.for;
    writeFileSync(join(dir, 'key'), apiKey);
    writeFileSync(join(dir, 'prometheus.yml'), stringify(config));
    writeFileSync(join(dir, 'alerts.yml'), stringify(rules));

    const address = `127.0.0.1:${await anyFreePort()}`;
    const child = new ManagedProcess({
      name: 'Prometheus',
      command: 'prometheus',
      args: [
        `--config.file=${join(dir, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(dir, 'data')}`,
        `--web.listen-address=${address}`,
      ],
      cwd: dir,
    });
    watchProcess(child);
    stopAfterAll(async () => {
      await child.stop(10_000);
      rmSync(dir, { recursive: true, force: true });
    });
    const prometheus = new TestPrometheus(`http://${address}`);
    await waitFor(async () => (await fetch(`http://${address}/-/ready`)).ok, {
      describe: 'Prometheus to be ready',
    });
    return prometheus;
  }

  /** Names of the alerts that fire. */
  async firing(): Promise<string[]> {
    const answer = await fetch(`${this.#url}/api/v1/alerts`);
    const { data } = (await answer.json()) as { data: { alerts: Alert[] } };
    const names = data.alerts
      .filter(({ state }) => state === 'firing')
      .map(({ labels }) => labels.alertname!);
    return [...new Set(names)].sort();
  }

  /** The first value that an expression gives, or undefined. */
  async value(expression: string): Promise<number | undefined> {
    const answer = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } };
    const [first] = data.result;
    return first && Number(first.value[1]);
  }

  /** Resolves when all of these fire; `meanwhile` is done again and again until then. */
  async untilFiring(names: string[], meanwhile: () => Promise<unknown> = async () => {}): Promise<void> {
    await waitFor(
      async () => {
        await meanwhile();
        const firing = await this.firing();
        if (names.every((name) => firing.includes(name))) return true;
        throw new Error(`there fire ${firing.join(', ') || 'none'}`);
      },
      { describe: `${names.join(', ')} to fire` },
    );
    for (const name of names) this.seen.add(name);
  }
}
