import { describe, expect, it } from 'vitest';
import { ERRORS, SealpostError } from './errors.ts';

describe('SealpostError', () => {
  it('carries the status and title of its code, and what it is given', () => {
    const cause = new Error('beneath');
    const errors = [{ path: 'retry.max_retries', message: 'must be at most 50' }];
    const error = new SealpostError('validation_failed', 'two fields are wrong', { errors, cause });
    expect(error).toMatchObject({
      code: 'validation_failed',
      status: 422,
      title: 'The request is not valid',
    });
    expect(error).toMatchObject({ message: 'two fields are wrong', errors, cause });
    expect(error.retryAfterSeconds).toBeUndefined();
  });

  it('has no cause unless one is given', () => {
    expect('cause' in new SealpostError('overloaded', 'memory is short', { retryAfterSeconds: 5 })).toBe(
      false,
    );
  });
});

it('has a snake_case code, an error status and a title for every error', () => {
  for (const [code, { status, title }] of Object.entries(ERRORS)) {
    expect(code).toMatch(/^[a-z0-9]+(_[a-z0-9]+)*$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(title).toMatch(/^[A-Z].*[^.]$/);
  }
});
