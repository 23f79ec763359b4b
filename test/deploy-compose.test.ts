import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  DRAIN_SECONDS,
  isOtelVariable,
  isThere,
  PROCESSES,
  ROOT,
  readText,
  readYaml,
} from './deploy/files.ts';

const text = readText('docker-compose.yml');
const compose = readYaml('docker-compose.yml');
const { services } = compose;
const apps = Object.entries(PROCESSES);
/** What OpenTelemetry's own code reads, and no schema of ours. */
const OF_THE_SDK = ['OTEL_SERVICE_NAME', 'OTEL_EXPORTER_OTLP_HEADERS'];

describe.each(apps)('the service %s', (name, { main, schema, port, settings, required }) => {
  const service = services[name];

  it('starts the process from the one image', () => {
    expect(service.command).toEqual([main]);
    expect(isThere(main)).toBe(true);
    expect(service.image).toBe('sealpost');
  });

  it('takes every setting that the code reads, and no other', () => {
    const given = Object.keys(service.environment).filter((variable) => !isOtelVariable(variable));
    expect(given.sort()).toEqual([...settings].sort());
    for (const variable of required) expect(service.environment[variable]).toContain(':?');
  });

  it('gives OpenTelemetry settings that the process takes', () => {
    const given = Object.entries<string | null>(service.environment).filter(([variable]) =>
      isOtelVariable(variable),
    );
    for (const [variable, value] of given) {
      const standard = value?.replace(/^\$\{\w+:-(.*)\}$/, '$1') ?? undefined;
      if (!OF_THE_SDK.includes(variable))
        expect(schema.shape[variable]?.safeParse(standard).success, `${variable}=${standard}`).toBe(true);
    }
  });

  it('is well when the process says that it is ready, at the port that it listens at', () => {
    expect(service.healthcheck.test.join(' ')).toContain(`http://127.0.0.1:${port}/readyz`);
  });

  it('has the time to drain, and nothing that it does not need', () => {
    expect(Number.parseInt(service.stop_grace_period, 10)).toBeGreaterThanOrEqual(DRAIN_SECONDS + 5);
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
  });
});

it('publishes to this machine alone, the API at its port, and no workers, so that they can be scaled', () => {
  const ports: string[] = Object.values<{ ports?: string[] }>(services).flatMap(
    (service) => service.ports ?? [],
  );
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  expect(services.api.ports).toEqual([expect.stringMatching(new RegExp(`:${PROCESSES.api.port}$`))]);
  expect(services.worker.ports).toBeUndefined();
  expect(services.redis.ports).toBeUndefined();
});

it('has a Redis that forgets and evicts nothing, takes no one without the password, and is reached by Sealpost alone', () => {
  const command = services.redis.command.join(' ');
  expect(command).toContain('--appendonly yes');
  expect(command).toContain('--maxmemory-policy noeviction');
  expect(command).toMatch(/--requirepass \$\{REDIS_PASSWORD:\?/);
  expect(services.redis.volumes).toContain('redis-data:/data');
  const onData = Object.keys(services).filter((name) => services[name].networks?.includes('data'));
  expect(onData.sort()).toEqual(['api', 'redis', 'worker']);
  expect(compose.networks.data.internal).toBe(true);
});

it('has no secret with a value of its own, and .env.example names each that must be set', () => {
  const secrets = [...text.matchAll(/\$\{(\w*(?:KEYS?|PASSWORD)\w*)(.)/g)];
  for (const [use, name] of secrets) {
    const rest = text.slice(text.indexOf(use) + `\${${name}`.length);
    expect(rest.slice(0, 2), name).toBe(':?');
  }
  const needed = new Set([...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name));
  const example = parseEnv(readText('.env.example'));
  for (const name of needed) expect(example).toHaveProperty(name!, '');
});

it('deploy/make-env.sh makes keys that the processes take, once', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sealpost-env-'));
  try {
    mkdirSync(join(dir, 'deploy'));
    for (const file of ['.env.example', 'deploy/make-env.sh'])
      copyFileSync(join(ROOT, file), join(dir, file));
    const run = () => execFileSync('sh', ['deploy/make-env.sh'], { cwd: dir, stdio: 'pipe' });
    run();
    const made = parseEnv(readFileSync(join(dir, '.env'), 'utf8'));
    for (const [name, value] of Object.entries(made)) expect(value, name).toBeTruthy();
    const { schema } = PROCESSES.api;
    const settings = { ...made, REDIS_URL: `redis://:${made.REDIS_PASSWORD}@redis:6379` };
    expect(schema.safeParse(settings).error).toBeUndefined();
    expect(statSync(join(dir, '.env')).mode & 0o077).toBe(0);
    expect(run).toThrow('left as it is');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

it('mounts what is there', () => {
  const volumes: string[] = Object.values<{ volumes?: string[] }>(services).flatMap(
    (service) => service.volumes ?? [],
  );
  for (const volume of volumes) {
    const [source = ''] = volume.split(':');
    if (source.startsWith('.')) expect(isThere(source), source).toBe(true);
    else expect(compose.volumes).toHaveProperty(source);
  }
});

it('names a version of every image that is not its own', () => {
  const images = Object.values<{ image: string }>(services).map(({ image }) => image);
  for (const image of images.filter((image) => image !== 'sealpost')) {
    expect(image).toMatch(/:v?\d/);
  }
});

it('Prometheus reads both processes where they listen, with the key that the API knows', () => {
  const { scrape_configs: jobs } = readYaml('deploy/prometheus/prometheus.yml');
  const found = jobs.map((job: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }) => {
    const [{ names, port } = { names: [], port: 0 }] = job.dns_sd_configs;
    return [job.job_name, names, port];
  });
  const expected = apps.map(([name, { port }]) => [`sealpost-${name}`, [name], port]);
  expect(found).toEqual(expected);
  const [secret] = services.prometheus.secrets;
  expect(jobs[0].authorization.credentials_file).toBe(`/run/secrets/${secret}`);
  expect(services.api.environment.SEALPOST_API_KEYS).toContain(compose.secrets[secret].environment);
});

it('Grafana is given its data source, under the name that the dashboard asks for, and the dashboard', () => {
  const [source] = readYaml('deploy/grafana/provisioning/datasources/prometheus.yaml').datasources;
  expect(source.url).toBe('http://prometheus:9090');
  expect(services.prometheus.ports.join()).toMatch(/:9090$/);
  const [provider] = readYaml('deploy/grafana/provisioning/dashboards/sealpost.yaml').providers;
  expect(services.grafana.volumes).toContain(`./deploy/grafana/dashboards:${provider.options.path}:ro`);
  const dashboard = JSON.parse(readText('deploy/grafana/dashboards/sealpost.json'));
  expect(dashboard.templating.list[0].current.value).toBe(source.uid);
});

it('spans go where the collector listens', () => {
  const collector = readYaml('deploy/otel-collector.yaml');
  const [, port] = collector.receivers.otlp.protocols.http.endpoint.split(':');
  expect(services.api.environment.OTEL_EXPORTER_OTLP_ENDPOINT).toContain(`http://otel-collector:${port}`);
  for (const { receivers, processors, exporters } of Object.values<Record<string, string[]>>(
    collector.service.pipelines,
  )) {
    for (const name of receivers!) expect(collector.receivers).toHaveProperty(name);
    for (const name of processors!) expect(collector.processors).toHaveProperty(name);
    for (const name of exporters!) expect(collector.exporters).toHaveProperty(name);
  }
});
