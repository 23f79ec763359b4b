import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  apiKeys,
  bool,
  cidrs,
  durability,
  logLevel,
  masterKey,
  port,
  positiveInt,
  readSettings,
  redisUrl,
  SettingsError,
  share,
} from './settings.ts';

const FIELDS = { apiKeys, bool, cidrs, durability, masterKey, port, positiveInt, redisUrl, share };

const KEY = Buffer.alloc(32, 7).toString('base64');
const SCHEMA = z.object({
  REDIS_URL: redisUrl,
  SEALPOST_MASTER_KEY: masterKey,
  SEALPOST_API_KEYS: apiKeys,
  SEALPOST_ALLOW_SUBNETS: cidrs.default([]),
  SEALPOST_HTTPS_ONLY: bool.default(false),
  PORT: port.default(8080),
  LOG_LEVEL: logLevel.default('info'),
  SEALPOST_DURABILITY: durability.default('process'),
});
const REQUIRED = {
  REDIS_URL: 'redis://127.0.0.1:6379',
  SEALPOST_MASTER_KEY: KEY,
  SEALPOST_API_KEYS: 'one, two',
};

const messageOf = (env: Record<string, string>) => {
  try {
    readSettings(SCHEMA, env);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  return '';
};

describe('reading the settings', () => {
  it('fills in defaults, ignores what is not asked for, and takes an empty variable as not set', () => {
    expect(readSettings(SCHEMA, { ...REQUIRED, PORT: ' ', OTHER: 'x' })).toEqual({
      REDIS_URL: ['redis://127.0.0.1:6379'],
      SEALPOST_MASTER_KEY: Buffer.alloc(32, 7),
      SEALPOST_API_KEYS: ['one', 'two'],
      SEALPOST_ALLOW_SUBNETS: [],
      SEALPOST_HTTPS_ONLY: false,
      PORT: 8080,
      LOG_LEVEL: 'info',
      SEALPOST_DURABILITY: 'process',
    });
  });

  it('names every missing and malformed variable at once', () => {
    const message = messageOf({
      SEALPOST_MASTER_KEY: 'short',
      SEALPOST_API_KEYS: 'a,,b',
      SEALPOST_HTTPS_ONLY: 'maybe',
      PORT: '65536',
      LOG_LEVEL: 'loud',
    });
    expect(message.split('\n')).toEqual([
      'These settings must be corrected:',
      expect.stringContaining('  REDIS_URL is missing; it must be a redis:// or rediss:// URL'),
      '  SEALPOST_MASTER_KEY must be 32 bytes in base64, as `openssl rand -base64 32` makes them',
      '  SEALPOST_API_KEYS must be one or more keys separated by commas, of letters, digits and - . _ ~ + / =',
      '  SEALPOST_HTTPS_ONLY must be true or false',
      '  PORT must be a port, 0 to 65535',
      '  LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent',
    ]);
  });

  it('does not repeat a value, which may be a secret', () => {
    const message = messageOf({
      REDIS_URL: 'https://:hunter2@redis',
      SEALPOST_MASTER_KEY: 'hunter2',
      SEALPOST_API_KEYS: 'hunter2 ,?',
    });
    expect(message).toContain('SEALPOST_API_KEYS');
    expect(message).not.toContain('hunter2');
  });
});

describe('a setting', () => {
  it.each([
    ['redisUrl', 'rediss://user:p%40ss@[::1]:6380/2', ['rediss://user:p%40ss@[::1]:6380/2']],
    ['redisUrl', 'redis://a:1, redis://b:2/0', ['redis://a:1', 'redis://b:2/0']],
    ['positiveInt', '200', 200],
    ['port', '0', 0],
    ['share', '0.85', 0.85],
    ['share', '1', 1],
    ['bool', 'true', true],
    ['bool', '0', false],
    ['cidrs', '127.0.0.0/8, ::1/128', ['127.0.0.0/8', '::1/128']],
    ['durability', 'replica', 'replica'],
  ] as const)('%s reads %j', (name, text, value) => {
    expect(FIELDS[name].parse(text)).toEqual(value);
  });

  it.each([
    ['redisUrl', 'localhost:6379'],
    ['redisUrl', 'http://localhost'],
    ['redisUrl', 'redis://'],
    ['redisUrl', 'redis://a,'],
    ['redisUrl', 'redis://a,rediss://b'],
    ['redisUrl', 'redis://a/1,redis://b/1'],
    ['redisUrl', 'redis://a/zero'],
    ['masterKey', Buffer.alloc(31).toString('base64')],
    ['masterKey', Buffer.alloc(32).toString('hex')],
    ['masterKey', KEY.slice(0, -1)],
    ['positiveInt', '0'],
    ['positiveInt', '-1'],
    ['positiveInt', '1.5'],
    ['positiveInt', '1e3'],
    ['positiveInt', '0x10'],
    ['port', '-0'],
    ['share', '0'],
    ['share', '1.1'],
    ['share', '85%'],
    ['share', '.'],
    ['bool', 'TRUE'],
    ['cidrs', '10.0.0.0'],
    ['cidrs', '10.0.0.0/33'],
    ['apiKeys', 'with space'],
    ['apiKeys', ','],
    ['durability', 'none'],
  ] as const)('%s refuses %j', (name, text) => {
    expect(FIELDS[name].safeParse(text).success).toBe(false);
  });
});
