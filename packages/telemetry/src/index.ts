export * from './logger.ts';
export * from './metrics.ts';
export * from './redis-gauges.ts';
export { createMetrics, type Instruments, type Metrics } from './registry.ts';
export * from './semantic-conventions.ts';
export { type Otel, startOtel } from './start-otel.ts';
export * from './trace-context.ts';
export * from './tracing.ts';
export * from './watch-readiness.ts';
