import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/*
 * Makes of packages/client a package for other projects, where Node runs no TypeScript: JavaScript and types, without
 * anything of the server. `npm run build-client`, then `npm publish dist/client` or `npm pack dist/client`.
 */

const ROOT = join(import.meta.dirname, '..');
const SOURCE = join(ROOT, 'packages', 'client');
const target = resolve(process.argv[2] ?? join(ROOT, 'dist', 'client'));

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
execFileSync(tsc, ['-p', join(SOURCE, 'tsconfig.build.json'), '--outDir', target], { stdio: 'inherit' });
const source = JSON.parse(await readFile(join(SOURCE, 'package.json'), 'utf8'));
const { name, version, description, license, type, engines, dependencies } = source;
const exports = { '.': { types: './index.d.ts', default: './index.js' } };
const manifest = { name, version, description, license, type, engines, exports, dependencies };
await writeFile(join(target, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
await cp(join(SOURCE, 'README.md'), join(target, 'README.md'));
await cp(join(ROOT, 'LICENSE'), join(target, 'LICENSE'));
