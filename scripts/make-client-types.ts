import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ERRORS } from '@sealpost/core';
import { clientTypes } from './client-types.ts';

const USAGE = `Writes packages/client/src/api-types.ts anew.

  npm run client-types -- URL     of a running API, such as http://localhost:8080
  npm run client-types -- FILE    with what it answers at /openapi.json
`;

const ROOT = join(import.meta.dirname, '..');
const [from] = process.argv.slice(2);
if (from === undefined) {
  console.log(USAGE);
  process.exit(2);
}
const text = /^https?:/.test(from) ? await fetchDocument(from) : await readFile(from, 'utf8');
const file = join(ROOT, 'packages', 'client', 'src', 'api-types.ts');
await writeFile(file, clientTypes(JSON.parse(text), Object.keys(ERRORS)));
execFileSync(join(ROOT, 'node_modules/.bin/biome'), ['format', '--write', file], { stdio: 'inherit' });

async function fetchDocument(api: string): Promise<string> {
  const url = new URL('/openapi.json', api);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${await response.text()}`);
  return response.text();
}
