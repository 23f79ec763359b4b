import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readText } from './deploy/files.ts';
import { hashOfDocuments } from './seeds/hash-documents.ts';

it('documents beside the checkout decide whether turbo may take these tests from its cache', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sealpost-documents-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const hashes = [hashOfDocuments(join(dir, 'missing')), hashOfDocuments(dir)];
  writeFileSync(join(dir, 'a.md'), 'one');
  hashes.push(hashOfDocuments(dir));
  writeFileSync(join(dir, 'a.md'), 'two');
  hashes.push(hashOfDocuments(dir));
  mkdirSync(join(dir, 'sub'));
  writeFileSync(join(dir, 'sub', 'b.md'), 'two');
  hashes.push(hashOfDocuments(dir));
  expect(new Set(hashes).size).toBe(5);
  expect(hashes[0]).toBe('none');
  expect(hashOfDocuments(dir)).toBe(hashes.at(-1));

  const { tasks } = JSON.parse(readText('turbo.json'));
  expect(tasks['@sealpost/test#test'].env).toContain('SEALPOST_SEEDS_HASH');
  expect(JSON.parse(readText('package.json')).scripts.test).toContain(
    'SEALPOST_SEEDS_HASH=$(node test/seeds/hash-documents.ts) turbo run test',
  );
});
