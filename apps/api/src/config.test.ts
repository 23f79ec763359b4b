import { SettingsError } from '@sealpost/core';
import { expect, it } from 'vitest';
import { readApiSettings } from './config.ts';

const REQUIRED = {
  REDIS_URL: 'redis://127.0.0.1',
  SEALPOST_API_KEYS: 'operator-key-0123456789, another-key-0123456789',
  SEALPOST_MASTER_KEY: Buffer.alloc(32, 1).toString('base64'),
};

it('what is not set gets its default', () => {
  expect(readApiSettings(REQUIRED)).toMatchObject({
    apiKeys: ['operator-key-0123456789', 'another-key-0123456789'],
    previousMasterKey: undefined,
    host: '127.0.0.1',
    port: 8080,
    processes: 1,
    shards: 1,
    allowSubnets: [],
    httpsOnly: false,
    retention: { recordsMs: 7 * 86_400_000, bodiesMs: 3 * 86_400_000 },
    durability: 'process',
    shedMemory: 0.85,
    shedDepth: undefined,
    boardWritable: false,
    metricsOpen: false,
    bodyLimitBytes: 1_048_576,
    logLevel: 'info',
    faultPoint: undefined,
  });
});

it('what is malformed is named at once, and no value is repeated', () => {
  const bad = {
    REDIS_URL: 'http://secret-host',
    SEALPOST_API_KEYS: 'operator-key-0123456789,tooshort',
    SEALPOST_MASTER_KEY: 'c2VjcmV0',
    PORT: '99999',
    API_PROCESSES: '0',
    SEALPOST_SHARDS: '0',
    SEALPOST_ALLOW_SUBNETS: '10.0.0.0/33',
    SEALPOST_HTTPS_ONLY: 'maybe',
    SEALPOST_DURABILITY: 'hope',
    SEALPOST_SHED_MEMORY: '2',
    SEALPOST_BODY_LIMIT_BYTES: '1MB',
    SEALPOST_FAULT_POINT: 'anywhere',
    LOG_LEVEL: 'loud',
  };
  let error: unknown;
  try {
    readApiSettings(bad);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(SettingsError);
  const { message } = error as SettingsError;
  for (const name of Object.keys(bad)) expect(message).toContain(name);
  for (const value of ['secret-host', 'tooshort', 'c2VjcmV0']) expect(message).not.toContain(value);
});
