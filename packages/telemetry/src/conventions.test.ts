import { readFileSync } from 'node:fs';
import * as stable from '@opentelemetry/semantic-conventions';
import * as incubating from '@opentelemetry/semantic-conventions/incubating';
import { expect, it } from 'vitest';
import { ATTRIBUTE, CONVENTIONS_VERSION, OWN_ATTRIBUTE } from './semantic-conventions.ts';

const PACKAGE = '@opentelemetry/semantic-conventions';

it('attributes are named as in the semantic conventions of the version that is quoted', () => {
  const known = new Set([stable, incubating].flatMap((all): unknown[] => Object.values(all as object)));
  for (const name of Object.values(ATTRIBUTE)) expect(known).toContain(name);
  for (const name of Object.values(OWN_ATTRIBUTE)) expect(known).not.toContain(name);
  const [folder] = import.meta.resolve(PACKAGE).split(PACKAGE);
  const manifest = readFileSync(new URL(`${folder}${PACKAGE}/package.json`), 'utf8');
  expect(JSON.parse(manifest).version).toBe(CONVENTIONS_VERSION);
});
