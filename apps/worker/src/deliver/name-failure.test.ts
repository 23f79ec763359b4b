import { describe, expect, it } from 'vitest';
import { AddressBlockedError, NameLookupError } from './guarded-agent.ts';
import { nameFailure, type Stage } from './name-failure.ts';

const coded = (code: string) => Object.assign(new Error('10.0.0.1 said no'), { code });
const wrapped = (cause: Error) =>
  Object.assign(new Error('outer', { cause }), { code: 'ERR_GOT_REQUEST_ERROR' });

describe('naming a failure', () => {
  it.each<[Error, Stage, string, string]>([
    [new AddressBlockedError(), 'connecting', 'address_blocked', 'ERR_ADDRESS_BLOCKED'],
    [new NameLookupError(coded('EAI_AGAIN')), 'connecting', 'dns_failed', 'EAI_AGAIN'],
    [coded('ECONNREFUSED'), 'connecting', 'connection_failed', 'ECONNREFUSED'],
    [coded('ECONNRESET'), 'securing', 'tls_failed', 'ECONNRESET'],
    [coded('CERT_HAS_EXPIRED'), 'securing', 'tls_failed', 'CERT_HAS_EXPIRED'],
    [coded('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), 'waiting', 'tls_failed', ''],
    [coded('ECONNRESET'), 'waiting', 'connection_failed', 'ECONNRESET'],
    [coded('HPE_INVALID_CONSTANT'), 'waiting', 'response_invalid', 'HPE_INVALID_CONSTANT'],
    [coded('ECONNRESET'), 'reading', 'response_invalid', 'ECONNRESET'],
    [coded('ERR_INVALID_CHAR'), 'connecting', 'config_invalid', 'ERR_INVALID_CHAR'],
    [new TypeError('unknown'), 'connecting', 'connection_failed', 'TypeError'],
  ])('%s while %s is %s', (error, stage, reason, detail) => {
    const expected = { reason, detail: detail || (error as NodeJS.ErrnoException).code };
    expect(nameFailure(error, stage)).toEqual(expected);
    expect(nameFailure(wrapped(error), stage)).toEqual(expected);
  });
});
