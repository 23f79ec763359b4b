import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { stopAfterAll } from './cleanup.ts';
import { decode, METRICS, TRACES } from './otlp-messages.ts';

type Attributes = Record<string, string | number | boolean>;
/** A span, as far as tests look at it. */
export type OtlpSpan = {
  traceId: string;
  spanId: string;
  /** '' for the root of a trace. */
  parentSpanId: string;
  name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  /** 0 unset, 1 ok, 2 error. */
  status: number;
  attributes: Attributes;
  links: { traceId: string; spanId: string }[];
  /** ns. */
  start: bigint;
  end: bigint;
  service: string;
};
export type OtlpPoint = { service: string; instance: string; attributes: Attributes; value: number };

// biome-ignore lint/suspicious/noExplicitAny: messages of others, of which every field may be missing
type Loose = any;

/** A receiver of OTLP over HTTP, for both encodings: what a collector is to Sealpost. */
export class OtlpCollector {
  readonly spans: OtlpSpan[] = [];
  /** The last that each instance of a service has told, by metric. */
  readonly metrics = new Map<string, OtlpPoint[]>();
  /** Content types and other headers, by path. */
  readonly headers = new Map<string, IncomingHttpHeaders>();
  /** Hangs instead of answering. */
  hangs = false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#take(request).then((status) => {
        if (!this.hangs)
          response.writeHead(status, { 'content-type': request.headers['content-type'] }).end();
      });
    });
  }

  static async listen(): Promise<OtlpCollector> {
    const collector = new OtlpCollector();
    await new Promise<void>((resolve) => collector.#server.listen(0, '127.0.0.1', resolve));
    stopAfterAll(async () => {
      collector.#server.closeAllConnections();
      await new Promise((resolve) => collector.#server.close(resolve));
    }, 'last');
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** All spans of a trace, in the order of their start, which is exact to a millisecond: parents go first. */
  trace(traceId: string): OtlpSpan[] {
    const own = this.spans.filter((span) => span.traceId === traceId);
    const byId = new Map(own.map((span) => [span.spanId, span]));
    const depth = (span: OtlpSpan | undefined): number => (span ? 1 + depth(byId.get(span.parentSpanId)) : 0);
    return own.sort((a, b) => Number(a.start - b.start) || depth(a) - depth(b));
  }

  async #take(request: IncomingMessage): Promise<number> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const whole = Buffer.concat(chunks);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(whole) : whole;
    const path = request.url ?? '';
    this.headers.set(path, request.headers);
    const isJson = request.headers['content-type'] === 'application/json';
    if (path === '/v1/traces') this.#takeSpans(isJson ? JSON.parse(String(body)) : decode(body, TRACES));
    else if (path === '/v1/metrics')
      this.#takeMetrics(isJson ? JSON.parse(String(body)) : decode(body, METRICS));
    else return 404;
    return 200;
  }

  #takeSpans(message: Loose): void {
    for (const { resource, scopeSpans } of message.resourceSpans ?? []) {
      const service = String(attributesOf(resource)['service.name']);
      for (const span of scopeSpans.flatMap((scope: Loose) => scope.spans ?? [])) {
        this.spans.push({
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId ?? '',
          name: span.name,
          kind: span.kind,
          status: span.status?.code ?? 0,
          attributes: attributesOf(span),
          links: (span.links ?? []).map(({ traceId, spanId }: Loose) => ({ traceId, spanId })),
          start: BigInt(span.startTimeUnixNano),
          end: BigInt(span.endTimeUnixNano),
          service,
        });
      }
    }
  }

  #takeMetrics(message: Loose): void {
    for (const { resource, scopeMetrics } of message.resourceMetrics ?? []) {
      const service = String(attributesOf(resource)['service.name']);
      const instance = String(attributesOf(resource)['service.instance.id']);
      for (const metric of scopeMetrics.flatMap((scope: Loose) => scope.metrics ?? [])) {
        const { dataPoints = [] } = metric.sum ?? metric.gauge ?? metric.histogram ?? {};
        const points = dataPoints.map((point: Loose) => ({
          service,
          instance,
          attributes: attributesOf(point),
          value: Number(point.asDouble ?? point.count ?? 0),
        }));
        const others = (this.metrics.get(metric.name) ?? []).filter(
          (point) => point.service !== service || point.instance !== instance,
        );
        this.metrics.set(metric.name, [...others, ...points]);
      }
    }
  }
}

function attributesOf(of: Loose): Attributes {
  const pairs = (of?.attributes ?? []).map(({ key, value }: Loose) => {
    const { stringValue, boolValue, doubleValue, intValue } = value ?? {};
    return [key, stringValue ?? boolValue ?? doubleValue ?? (intValue === undefined ? '' : Number(intValue))];
  });
  return Object.fromEntries(pairs) as Attributes;
}
