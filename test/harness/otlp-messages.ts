/**
 * Reads what OTLP sends in protobuf as its JSON form has it (opentelemetry-proto 1.x: trace, metrics, common, resource), as
 * far as tests look at it. A field that is not listed is passed over.
 */

type Kind = 'string' | 'hex' | 'varint' | 'fixed64' | 'fixed32' | 'double' | 'bool' | Schema;
type Schema = { [field: number]: readonly [name: string, kind: Kind, many?: 'many'] };

const ANY_VALUE: Schema = {
  1: ['stringValue', 'string'],
  2: ['boolValue', 'bool'],
  3: ['intValue', 'varint'],
  4: ['doubleValue', 'double'],
};
const KEY_VALUE: Schema = { 1: ['key', 'string'], 2: ['value', ANY_VALUE] };
const RESOURCE: Schema = { 1: ['attributes', KEY_VALUE, 'many'] };
const SCOPE: Schema = { 1: ['name', 'string'], 2: ['version', 'string'] };
const LINK: Schema = { 1: ['traceId', 'hex'], 2: ['spanId', 'hex'] };
const STATUS: Schema = { 2: ['message', 'string'], 3: ['code', 'varint'] };
const SPAN: Schema = {
  1: ['traceId', 'hex'],
  2: ['spanId', 'hex'],
  3: ['traceState', 'string'],
  4: ['parentSpanId', 'hex'],
  5: ['name', 'string'],
  6: ['kind', 'varint'],
  7: ['startTimeUnixNano', 'fixed64'],
  8: ['endTimeUnixNano', 'fixed64'],
  9: ['attributes', KEY_VALUE, 'many'],
  13: ['links', LINK, 'many'],
  15: ['status', STATUS],
};
export const TRACES: Schema = {
  1: [
    'resourceSpans',
    {
      1: ['resource', RESOURCE],
      2: ['scopeSpans', { 1: ['scope', SCOPE], 2: ['spans', SPAN, 'many'] }, 'many'],
    },
    'many',
  ],
};

const NUMBER_POINT: Schema = { 4: ['asDouble', 'double'], 7: ['attributes', KEY_VALUE, 'many'] };
const HISTOGRAM_POINT: Schema = {
  4: ['count', 'fixed64'],
  5: ['sum', 'double'],
  9: ['attributes', KEY_VALUE, 'many'],
};
const METRIC: Schema = {
  1: ['name', 'string'],
  3: ['unit', 'string'],
  5: ['gauge', { 1: ['dataPoints', NUMBER_POINT, 'many'] }],
  7: [
    'sum',
    {
      1: ['dataPoints', NUMBER_POINT, 'many'],
      2: ['aggregationTemporality', 'varint'],
      3: ['isMonotonic', 'bool'],
    },
  ],
  9: ['histogram', { 1: ['dataPoints', HISTOGRAM_POINT, 'many'], 2: ['aggregationTemporality', 'varint'] }],
};
export const METRICS: Schema = {
  1: [
    'resourceMetrics',
    {
      1: ['resource', RESOURCE],
      2: ['scopeMetrics', { 1: ['scope', SCOPE], 2: ['metrics', METRIC, 'many'] }, 'many'],
    },
    'many',
  ],
};

export function decode(bytes: Buffer, schema: Schema): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const start = at;
    const wire = tag & 7;
    let raw: Buffer | bigint;
    if (wire === 0) raw = varint();
    else {
      const length = wire === 1 ? 8 : wire === 5 ? 4 : Number(varint());
      raw = bytes.subarray(at, at + length);
      at += length;
    }
    const field = schema[tag >> 3];
    if (!field) continue;
    if (at > bytes.length) throw new Error(`field ${tag >> 3} at ${start} is cut off`);
    const [name, kind, many] = field;
    const value = read(raw, kind);
    if (many) message[name] = [...((message[name] as unknown[]) ?? []), value];
    else message[name] = value;
  }
  return message;
}

function read(raw: Buffer | bigint, kind: Kind): unknown {
  if (typeof raw === 'bigint') return kind === 'bool' ? raw === 1n : Number(raw);
  if (kind === 'string') return raw.toString('utf8');
  if (kind === 'hex') return raw.toString('hex');
  if (kind === 'double') return raw.readDoubleLE();
  if (kind === 'fixed64') return String(raw.readBigUInt64LE());
  if (kind === 'fixed32') return raw.readUInt32LE();
  if (typeof kind === 'object') return decode(raw, kind);
  throw new Error(`not read as ${kind}`);
}
