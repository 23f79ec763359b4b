import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiSettingsSchema } from '@sealpost/api/config';
import { workerSettingsSchema } from '@sealpost/worker/config';
import { parse, parseAllDocuments } from 'yaml';
import type { z } from 'zod';

export const ROOT = join(import.meta.dirname, '..', '..');

/** A file of the repository, by its path from the root. */
export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export function isThere(path: string): boolean {
  return existsSync(join(ROOT, path));
}

/** What a YAML file says; `<<` merges. */
// biome-ignore lint/suspicious/noExplicitAny: what is in these files is what the tests are about
export function readYaml(path: string): any {
  return parse(readText(path), { merge: true });
}

/** Every document of a YAML file. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export function readYamls(path: string): any[] {
  return parseAllDocuments(readText(path), { merge: true }).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS();
  });
}

/** What the image, and not who deploys, decides; and what is for tests. */
const NOT_TO_BE_SET = ['HOST', 'PORT', 'HEALTH_PORT', 'UV_THREADPOOL_SIZE', 'SEALPOST_FAULT_POINT'];

type Process = { main: string; schema: z.ZodObject; port: number; settings: string[]; required: string[] };

function processOf(main: string, schema: z.ZodObject, portName: string): Process {
  const names = Object.keys(schema.shape);
  const required = names.filter((name) => !schema.shape[name]!.safeParse(undefined).success);
  const port = schema.shape[portName]!.parse(undefined) as number;
  const settings = names.filter((name) => !NOT_TO_BE_SET.includes(name) && !isOtelVariable(name));
  return { main, schema, port, settings, required };
}

/** What the code itself says of its two processes, by the names that they have in the files. */
export const PROCESSES = {
  api: processOf('apps/api/src/main.ts', apiSettingsSchema, 'PORT'),
  worker: processOf('apps/worker/src/main.ts', workerSettingsSchema, 'HEALTH_PORT'),
};

/** Read by the OpenTelemetry SDK (OpenTelemetry specification, "Environment Variable Specification"). */
export function isOtelVariable(name: string): boolean {
  return /^OTEL_[A-Z_]+$/.test(name);
}

/** The longest that a process drains, s: main.ts of both. */
export const DRAIN_SECONDS = 25;
