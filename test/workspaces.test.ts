import { expect, it } from 'vitest';
import { readText } from './deploy/files.ts';

type Package = { name: string; dependencies?: object; devDependencies?: object };

it('no workspace depends on itself by way of others, so that turbo knows which tests a change concerns', () => {
  const { packages } = JSON.parse(readText('package-lock.json')) as { packages: object };
  const needs = new Map<string, string[]>();
  for (const path of Object.keys(packages)) {
    if (path === '' || path.includes('node_modules')) continue;
    const { name, dependencies, devDependencies }: Package = JSON.parse(readText(`${path}/package.json`));
    needs.set(name, Object.keys({ ...dependencies, ...devDependencies }));
  }
  expect(needs.size).toBeGreaterThan(8);
  const circles: string[][] = [];
  const walk = (name: string, way: string[]) => {
    if (way.includes(name)) circles.push([...way.slice(way.indexOf(name)), name]);
    else for (const next of needs.get(name) ?? []) walk(next, [...way, name]);
  };
  for (const name of needs.keys()) walk(name, []);
  expect(circles).toEqual([]);
});
