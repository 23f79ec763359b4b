import { globSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROCESSES, ROOT, readText } from './deploy/files.ts';

const dockerfile = readText('Dockerfile').replaceAll(/\\\n\s*/g, ' ');
const stages = dockerfile.split(/^(?=FROM )/m).slice(1);
const { workspaces, engines } = JSON.parse(readText('package.json'));

describe('the image', () => {
  it('knows every workspace that the lockfile knows, or npm would not install by it', () => {
    const manifests = globSync(
      workspaces.map((workspace: string) => `${workspace}/package.json`),
      { cwd: ROOT },
    );
    expect(manifests.length).toBeGreaterThan(8);
    for (const manifest of manifests) {
      expect(stages[0]).toContain(`COPY ${manifest} ${manifest.replace('package.json', '')}\n`);
    }
  });

  it('gets past .dockerignore what it copies', () => {
    const letIn = readText('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files]) =>
      files!.split(' '),
    );
    for (const source of sources) {
      expect(
        letIn.some((path) => source === path || source.startsWith(`${path}/`)),
        source,
      ).toBe(true);
    }
  });

  it('is made in stages, of a Node that runs the TypeScript as it is', () => {
    expect(stages).toHaveLength(2);
    for (const stage of stages) {
      const [, major] = /^FROM node:(\d+)/.exec(stage) ?? [];
      expect(Number(major)).toBeGreaterThanOrEqual(Number(/\d+/.exec(engines.node)?.[0]));
    }
    for (const { main } of Object.values(PROCESSES)) expect(readText('Dockerfile')).toContain(main);
  });

  it('runs as nobody in particular, and is told of SIGTERM', () => {
    expect(/^USER (\d+):\d+$/m.exec(stages[1]!)?.[1]).toMatch(/^[1-9]/);
    expect(stages[1]).toContain('STOPSIGNAL SIGTERM');
    expect(stages[1]).toContain('ENTRYPOINT ["node"]');
  });

  it('exposes the ports that the processes listen at, and asks there whether they are ready', () => {
    const { api, worker } = PROCESSES;
    expect(stages[1]).toContain(`EXPOSE ${api.port} ${worker.port}\n`);
    const check = /^HEALTHCHECK .*$/m.exec(stages[1]!)?.[0] ?? '';
    expect(check).toContain(`process.env.PORT || ${api.port}`);
    expect(check).toContain(`process.env.HEALTH_PORT || ${worker.port}`);
    expect(check).toContain('/readyz');
    expect(() => JSON.parse(check.slice(check.indexOf('CMD ') + 4))).not.toThrow();
  });
});
