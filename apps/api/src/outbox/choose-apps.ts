import { type AppRecord, type Delivery, OPERATORS_APP } from '@sealpost/store';
import { carriedOperationalEvent } from './describe-entry.ts';

/**
 * The apps in which an entry becomes an event: the operators' app, and, if it asked for it, the app concerned.
 *
 * Nothing that happens to operational events may make more of them without end. So the operators' app makes none about
 * itself, and an app is not told of the death of what only told it something: an endpoint that refuses everything would
 * otherwise keep itself, and its app's other endpoints, busy for ever.
 */
export function chooseApps(concerned: AppRecord, dead: Delivery | undefined): string[] {
  if (concerned.app === OPERATORS_APP) return [];
  const asked = concerned.operationalEvents === true && !carriedOperationalEvent(dead);
  return asked ? [OPERATORS_APP, concerned.app] : [OPERATORS_APP];
}
