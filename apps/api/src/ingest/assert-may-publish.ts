import { SealpostError } from '@sealpost/core';
import { OPERATORS_APP } from '@sealpost/store';
import type { Caller } from '../http/route.ts';

/**
 * What stands in the operators' app was seen by Sealpost itself: no request publishes there, whatever its key.
 * @throws SealpostError forbidden
 */
export function assertMayPublish(app: string, caller: Caller): void {
  if (app !== OPERATORS_APP || caller.kind === 'sealpost') return;
  throw new SealpostError(
    'forbidden',
    `Only Sealpost itself publishes in the app ${OPERATORS_APP}; send a test to one of its endpoints instead.`,
  );
}
