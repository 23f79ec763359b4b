export * from './logger.ts';
export * from './metrics.ts';
export * from './redis-gauges.ts';
export { createMetrics, type Instruments, type Metrics } from './registry.ts';
