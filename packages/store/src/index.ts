export * from './app-config.ts';
export * from './config-records.ts';
export * from './configs.ts';
export * from './deliveries.ts';
export * from './events.ts';
export * from './idempotency.ts';
