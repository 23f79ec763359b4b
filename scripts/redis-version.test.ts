import { expect, it } from 'vitest';
import { isNewEnough } from './redis-version.ts';

it.each([
  ['6.2.0', true],
  ['6.2', true],
  ['7.0.15', true],
  ['10.0.1', true],
  ['5:7.0.15-1~deb12u10', true],
  ['6.0.16', false],
  ['5:6.0.16-1+deb11u2', false],
  ['5.0.14', false],
  ['(none)', false],
])('version %s is new enough: %s', (version, expected) => {
  expect(isNewEnough(version)).toBe(expected);
});
