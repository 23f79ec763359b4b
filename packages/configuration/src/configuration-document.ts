import { apiSettingsSchema } from '@sealpost/api/config';
import { workerSettingsSchema } from '@sealpost/worker/config';
import { z } from 'zod';

/** One variable of one process, as its schema tells it. */
type Variable = { name: string; type: string; default: string | undefined; description: string };

const INTRODUCTION = `# Configuration

<!-- Generated from the schemas that read the settings; change those, then: npm run docs:configuration -->

Every environment variable that a process reads. A malformed one stops the start, and all of them are named at once; an
empty one counts as not set, and others are ignored. The same value belongs into every process that reads a variable.
\`npm start\` sets by itself what is required ([README](../README.md)); how to run each is in
[operations.md](operations.md). The other variables of OpenTelemetry (\`OTEL_SERVICE_NAME\`, \`OTEL_RESOURCE_ATTRIBUTES\`,
\`OTEL_EXPORTER_OTLP_HEADERS\`, timeouts, certificates) are read by its own code.
`;

/** docs/configuration.md, the whole text. @throws an `Error` for a variable that its schema does not describe */
export function configurationDocument(): string {
  const api = variablesOf(apiSettingsSchema).map(rowOf);
  const worker = variablesOf(workerSettingsSchema).map(rowOf);
  const sections = [
    section(
      'API and worker',
      api.filter((row) => worker.includes(row)),
    ),
    section(
      'API',
      api.filter((row) => !worker.includes(row)),
    ),
    section(
      'Worker',
      worker.filter((row) => !api.includes(row)),
    ),
  ];
  return [INTRODUCTION, ...sections].join('\n');
}

function section(title: string, rows: string[]): string {
  return `## ${title}\n\n| variable | type | default | |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function rowOf({ name, type, default: standard, description }: Variable): string {
  return `| \`${name}\` | ${type} | ${standard ?? '**required**'} | ${description} |`;
}

/** A schema's variables in its order. */
export function variablesOf(schema: z.ZodObject): Variable[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const { description } = z.globalRegistry.get(field) ?? {};
    if (!description) throw new Error(`${name} has no description: give its schema a .describe(…)`);
    return { name, type: typeOf(field), default: defaultOf(field), description };
  });
}

/** What the error message says that a value must be, in fewer words. */
function typeOf(field: z.core.$ZodType): string {
  const expected = z.globalRegistry.get(field)?.expected;
  if (typeof expected === 'string') return expected.replace(/^must be /, '');
  if (field instanceof z.ZodEnum) return `one of ${field.options.join(', ')}`;
  if (field instanceof z.ZodString) return 'a text';
  const inner = (field as { def?: { innerType?: z.core.$ZodType } }).def?.innerType;
  if (!inner) throw new Error(`there is no name for the type ${field._zod.def.type}`);
  return typeOf(inner);
}

/** Undefined: there is none, and the variable is required. */
function defaultOf(field: z.core.$ZodType): string | undefined {
  if (field instanceof z.ZodDefault || field instanceof z.ZodPrefault) {
    const value: unknown = field.def.defaultValue;
    return Array.isArray(value) && value.length === 0 ? 'none' : `\`${value}\``;
  }
  return field instanceof z.ZodOptional ? 'none' : undefined;
}
