export * from './api-client.ts';
export * from './lane.ts';
export * from './processes.ts';
export * from './receiver.ts';
export * from './redis.ts';
export * from './stack.ts';
export * from './tenant.ts';
export * from './wait-for.ts';
