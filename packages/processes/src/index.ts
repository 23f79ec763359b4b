export { Member, type Own } from './member.ts';
export { isParent, Supervisor, type Totals } from './supervisor.ts';
