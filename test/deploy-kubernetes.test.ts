import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  DRAIN_SECONDS,
  isOtelVariable,
  isThere,
  PROCESSES,
  ROOT,
  readText,
  readYaml,
  readYamls,
} from './deploy/files.ts';

const DIR = 'deploy/kubernetes';
const kustomizations = globSync(`${DIR}/**/kustomization.yaml`, { cwd: ROOT });
// biome-ignore lint/suspicious/noExplicitAny: what is in these files is what the tests are about
type Manifest = Record<string, any>;
const base: Manifest[] = readYaml(`${DIR}/base/kustomization.yaml`).resources.flatMap((file: string) =>
  readYamls(`${DIR}/base/${file}`),
);
const secrets = readYamls(`${DIR}/secret.example.yaml`);

function find(kind: string, name: string, among = base): Manifest {
  const found = among.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

describe.each(Object.entries(PROCESSES))('the %s', (name, process) => {
  const fullName = `sealpost-${name}`;
  const deployment = find('Deployment', fullName);
  const { template } = deployment.spec;
  const [container] = template.spec.containers;

  it('is started from the one image, at the port that it listens at', () => {
    expect(container.image).toBe('sealpost');
    expect(container.args).toEqual([process.main]);
    expect(container.ports).toEqual([{ name: expect.any(String), containerPort: process.port }]);
  });

  it('gets every setting that it needs, and only such as it reads', () => {
    const given = new Set<string>(container.env.map((variable: Manifest) => variable.name));
    for (const { configMapRef, secretRef } of container.envFrom) {
      const data = configMapRef
        ? find('ConfigMap', configMapRef.name).data
        : find('Secret', secretRef.name, secrets).stringData;
      for (const variable of Object.keys(data)) given.add(variable);
    }
    for (const variable of process.required) expect(given).toContain(variable);
    for (const { name: variable, valueFrom } of container.env) {
      if (valueFrom) {
        const { name: secret, key } = valueFrom.secretKeyRef;
        expect(find('Secret', secret, secrets).stringData).toHaveProperty(key);
      }
      expect(isOtelVariable(variable) || process.settings.includes(variable), variable).toBe(true);
    }
  });

  it('is asked whether it lives and is ready, where it answers that', () => {
    const port = container.ports[0].name;
    expect(container.livenessProbe.httpGet).toEqual({ path: '/livez', port });
    expect(container.startupProbe.httpGet).toEqual({ path: '/livez', port });
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port });
  });

  it('has the time to drain', () => {
    const before = container.lifecycle?.preStop.sleep.seconds ?? 0;
    expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(before + DRAIN_SECONDS + 5);
  });

  it('may do no more than it must, as the image’s own user', () => {
    const [, user] = /^USER (\d+):/m.exec(readText('Dockerfile')) ?? [];
    expect(template.spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: Number(user) });
    expect(template.spec.automountServiceAccountToken).toBe(false);
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.resources).toMatchObject({
      requests: { cpu: expect.anything() },
      limits: { memory: expect.anything() },
    });
  });

  it('is found by all that select it', () => {
    const { labels } = template.metadata;
    expect(deployment.spec.selector.matchLabels).toEqual(labels);
    expect(find('PodDisruptionBudget', fullName).spec.selector.matchLabels).toEqual(labels);
    const monitors = readYamls(`${DIR}/components/prometheus-operator/pod-monitors.yaml`);
    const { spec } = find('PodMonitor', fullName, monitors);
    expect(spec.selector.matchLabels).toEqual(labels);
    expect(spec.podMetricsEndpoints[0]).toMatchObject({ port: container.ports[0].name, path: '/metrics' });
    // The alerts know a job by this.
    expect(labels[spec.jobLabel]).toBe(fullName);
  });
});

it('the Service leads to the API', () => {
  const { spec } = find('Service', 'sealpost-api');
  const { template } = find('Deployment', 'sealpost-api').spec;
  expect(spec.selector).toEqual(template.metadata.labels);
  expect(spec.ports[0].targetPort).toBe(template.spec.containers[0].ports[0].name);
});

it('the ConfigMap holds settings that some process reads, with values that it takes', () => {
  const { data } = find('ConfigMap', 'sealpost');
  for (const [name, value] of Object.entries(data).filter(([name]) => !isOtelVariable(name))) {
    const readers = Object.values(PROCESSES).filter(({ settings }) => settings.includes(name));
    expect(readers.length, name).toBeGreaterThan(0);
    for (const { schema } of readers) expect(schema.shape[name]!.safeParse(value).success, name).toBe(true);
  }
});

it('secrets are an example without values, in no kustomization; workers get no operator’s key', () => {
  for (const kustomization of kustomizations) {
    expect(readYaml(kustomization).resources ?? []).not.toContainEqual(expect.stringContaining('secret'));
  }
  const { SEALPOST_MASTER_KEY } = find('Secret', 'sealpost', secrets).stringData;
  const { SEALPOST_API_KEYS, METRICS_KEY } = find('Secret', 'sealpost-api', secrets).stringData;
  expect([SEALPOST_MASTER_KEY, SEALPOST_API_KEYS, METRICS_KEY]).toEqual(['', '', '']);
  const worker = JSON.stringify(find('Deployment', 'sealpost-worker'));
  expect(worker).not.toContain('SEALPOST_API_KEYS');
});

it('workers are scaled by a series that the rules record, with an HPA or with KEDA', () => {
  const [record] = readYaml('deploy/prometheus/alerts.yml').groups[0].rules;
  const { spec } = find('HorizontalPodAutoscaler', 'sealpost-worker');
  expect(spec.scaleTargetRef).toMatchObject({ kind: 'Deployment', name: 'sealpost-worker' });
  const [rule] = readYaml(`${DIR}/prometheus-adapter.values.yaml`).rules.external;
  expect(spec.metrics[0].external.metric.name).toBe(rule.name.as);
  expect(rule.metricsQuery).toBe(`max(${record.record})`);
  const [scaled] = readYamls(`${DIR}/components/keda/scaled-object.yaml`);
  expect(scaled!.spec.scaleTargetRef.name).toBe('sealpost-worker');
  expect(scaled!.spec.triggers[0].metadata.query).toBe(`max(${record.record})`);
  expect(find('Deployment', 'sealpost-worker').spec).not.toHaveProperty('replicas');
});

it('network policies name ports and pods that are there', () => {
  const policies = readYamls(`${DIR}/components/network-policy/network-policy.yaml`);
  const ports: string[] = policies.flatMap(({ spec }) =>
    (spec.ingress ?? []).flatMap((rule: Manifest) => rule.ports.map(({ port }: Manifest) => port)),
  );
  const names = ['sealpost-api', 'sealpost-worker'].map(
    (name) => find('Deployment', name).spec.template.spec.containers[0].ports[0].name,
  );
  expect(ports).toEqual(names);
});

it('names are asked for of the cluster’s DNS, and of the node’s cache of it where there is one, at no other port', () => {
  const [both] = readYamls(`${DIR}/components/network-policy/network-policy.yaml`);
  const [names] = both!.spec.egress.filter(({ ports }: Manifest) => ports[0].port === 53);
  expect(names).toEqual({
    to: [
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } },
      { ipBlock: { cidr: '169.254.20.10/32' } }, // NodeLocal DNSCache's, unless it was given another
    ],
    ports: [
      { port: 53, protocol: 'UDP' },
      { port: 53, protocol: 'TCP' },
    ],
  });
});

it.each(kustomizations)('%s names files that are there, and the base no namespace', (path) => {
  const { resources = [], components = [] } = readYaml(path);
  for (const entry of [...resources, ...components]) {
    expect(isThere(join(dirname(path), entry)), entry).toBe(true);
  }
  for (const manifest of base) expect(manifest.metadata).not.toHaveProperty('namespace');
});
