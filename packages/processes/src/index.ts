export { Member } from './member.ts';
export { isParent, Supervisor } from './supervisor.ts';
