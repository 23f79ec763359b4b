export * from './event-variables.ts';
export * from './expression.ts';
export { ExpressionError } from './failure.ts';
export type { ExpressionKind } from './gate.ts';
export * from './limits.ts';
export type { EventVariables } from './scope.ts';
