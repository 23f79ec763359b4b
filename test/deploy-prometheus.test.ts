import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ERRORS, REASONS } from '@sealpost/core';
import { METRICS, type MetricSpec, PROCESS_PREFIX } from '@sealpost/telemetry';
import { describe, expect, it } from 'vitest';
import { panels, queries, rules } from './deploy/expressions.ts';
import { ROOT, readText } from './deploy/files.ts';
import { selectorsOf } from './deploy/promql.ts';

const alerts = rules.filter((rule) => rule.alert !== undefined);
const records = rules.flatMap(({ record }) => record ?? []);

/** Labels of each series that the catalog makes; `job` and `instance` are put on by Prometheus. */
const series = new Map<string, string[]>();
for (const { name, type, labels } of Object.values<MetricSpec>(METRICS)) {
  if (type !== 'histogram') series.set(name, [...labels]);
  else {
    series.set(`${name}_bucket`, [...labels, 'le']);
    for (const end of ['sum', 'count']) series.set(`${name}_${end}`, [...labels]);
  }
}
for (const name of ['up', 'ALERTS', ...records]) series.set(name, ['alertname', 'alertstate', 'severity']);
// Of prom-client's default metrics; deploy-metrics.test.ts finds them in what is served.
for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes'])
  series.set(`${PROCESS_PREFIX}${name}`, []);

const VALUES: Record<string, readonly string[]> = {
  reason: REASONS,
  code: Object.keys(ERRORS),
  status: ['delivered', 'dead', 'skipped', 'cancelled', 'pending', 'retrying', '5..'],
  state: ['waiting', 'active', 'delayed'],
  outcome: ['success', 'failure'],
  job: ['sealpost-api', 'sealpost-worker', 'sealpost-.*'],
};

function expectKnown(expression: string): void {
  for (const { metric, labels } of selectorsOf(expression)) {
    expect(series.has(metric), metric).toBe(true);
    for (const { name, value } of labels) {
      expect([...series.get(metric)!, 'job', 'instance'], `${metric}{${name}}`).toContain(name);
      for (const one of VALUES[name] ? value.split('|') : []) expect(VALUES[name], name).toContain(one);
    }
  }
}

describe('the rules', () => {
  it.each(rules.map((rule) => [rule.alert ?? rule.record, rule] as const))(
    '%s reads what is there',
    (_, rule) => {
      expectKnown(rule.expr);
    },
  );

  it.each(alerts.map((rule) => [rule.alert!, rule] as const))(
    '%s says how bad it is, and what to do',
    (name, rule) => {
      expect(['critical', 'warning', 'info']).toContain(rule.labels.severity);
      expect(rule.for).toMatch(/^\d+[mh]$/);
      expect(rule.annotations.summary).toBeTruthy();
      expect(rule.annotations.description).toBeTruthy();
      expect(rule.annotations.runbook_url).toBe(`docs/operations.md#${name.toLowerCase()}`);
      expect(readText('docs/operations.md')).toContain(`\n### ${name}\n`);
      expect(readText('deploy/prometheus/alerts.test.yml')).toContain(`- name: '${name}: `);
    },
  );

  it('docs/operations.md tells of no alert that is gone', () => {
    const told = [...readText('docs/operations.md').matchAll(/^### (Sealpost\w+)$/gm)].map(
      ([, name]) => name,
    );
    expect(told.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it('compare with the bounds that the histograms have', () => {
    const promised: MetricSpec = METRICS.firstAttemptDelay;
    expect(promised.buckets).toContain(0.5);
  });
});

describe('the dashboard', () => {
  it.each(queries)('$title: $expr', ({ expr }) => expectKnown(expr));

  it('shows every metric of the catalog, but for what a ratio of its own tells', () => {
    const shown = queries.flatMap(({ expr }) => selectorsOf(expr).map(({ metric }) => metric));
    const missing = Object.values<MetricSpec>(METRICS).filter(
      ({ name }) => !shown.some((metric) => metric === name || metric.startsWith(`${name}_`)),
    );
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  it('has panels that can be told apart', () => {
    const ids = panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

const promtool = (...args: string[]) =>
  spawnSync('promtool', args, { cwd: join(ROOT, 'deploy/prometheus'), encoding: 'utf8' });
const hasPromtool = promtool('--version').status === 0;

describe.skipIf(!hasPromtool)('promtool, which is skipped where there is none (Debian: prometheus)', () => {
  it('takes the rules', () => {
    const { status, stdout, stderr } = promtool('check', 'rules', 'alerts.yml');
    expect(status, stdout + stderr).toBe(0);
  });

  it('takes the configuration', () => {
    const { status, stdout, stderr } = promtool('check', 'config', '--syntax-only', 'prometheus.yml');
    expect(status, stdout + stderr).toBe(0);
  });

  it('sees every alert fire for what it is there for, and none when all is well', () => {
    const { status, stdout, stderr } = promtool('test', 'rules', 'alerts.test.yml');
    expect(status, stdout + stderr).toBe(0);
  });
});

describe('what judges the expressions', () => {
  it.each(['sum(rate(a[5m])', 'sum by (le)', 'a{b="c}', 'a{b}', 'a ? b', '1 > 2'])(
    'refuses %s',
    (expression) => {
      expect(() => selectorsOf(expression)).toThrow();
    },
  );

  it('finds series and labels', () => {
    expect(selectorsOf('sum by (x) (rate(a{b=~"c|d"}[5m])) / (max(e) > 0)')).toEqual([
      { metric: 'a', labels: [{ name: 'b', operator: '=~', value: 'c|d' }] },
      { metric: 'e', labels: [] },
    ]);
  });
});
