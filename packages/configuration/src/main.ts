import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationDocument } from './configuration-document.ts';

const path = join(import.meta.dirname, '..', '..', '..', 'docs', 'configuration.md');
writeFileSync(path, configurationDocument());
console.log(`Written: ${path}`);
