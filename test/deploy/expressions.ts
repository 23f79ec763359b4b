import { readText, readYaml } from './files.ts';

export type Rule = { alert?: string; record?: string; expr: string; for?: string } & Record<
  'labels' | 'annotations',
  Record<string, string>
>;

/** Every rule of deploy/prometheus/alerts.yml, the recording ones among them. */
export const rules: Rule[] = readYaml('deploy/prometheus/alerts.yml').groups.flatMap(
  (group: { rules: Rule[] }) => group.rules,
);

type Panel = { id: number; title: string; targets?: { expr: string }[] };

export const panels: Panel[] = JSON.parse(readText('deploy/grafana/dashboards/sealpost.json')).panels;

/** What the panels ask, as Grafana would for a short time. */
export const queries = panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr: expr.replaceAll('$__rate_interval', '1m') })),
);
