import { ExpressionError } from './failure.ts';
import { type Kind, kindOf, type Meter } from './values.ts';

/** The event as expressions see it. Made once an event, and read by any number of expressions. */
export type EventVariables = {
  type: string;
  payload: unknown;
  environment: string | null;
  correlation_id: string | null;
  attributes: Readonly<Record<string, unknown>>;
  /** null: it has no correlation id. */
  sequence: bigint | null;
  id: string;
  /** When it was accepted. */
  timestamp: Date;
};

export type VariableName = keyof EventVariables;

/** What an evaluation works with. */
export type Scope = {
  event: EventVariables;
  /** Values of the macros' variables, by how deep their macro nests. */
  slots: unknown[];
  meter: Meter;
};

/** What is known of a value before there is an event: `dyn` is any. */
export type StaticKind = Kind | 'dyn';

/** A node made ready to run. */
export type Step = {
  kind: StaticKind;
  /** @throws ExpressionError, TooMuchWork */
  run: (scope: Scope) => unknown;
};

export const VARIABLES: Readonly<Record<VariableName, StaticKind>> = {
  type: 'string',
  payload: 'dyn',
  environment: 'dyn',
  correlation_id: 'dyn',
  attributes: 'map',
  sequence: 'dyn',
  id: 'string',
  timestamp: 'timestamp',
};

export function isVariable(name: string): name is VariableName {
  return Object.hasOwn(VARIABLES, name);
}

/** Whether a value can be of one of these kinds. */
export function mayBe({ kind }: Step, ...kinds: Kind[]): boolean {
  return kind === 'dyn' || kinds.includes(kind);
}

export function wrongOperands(operator: string, ...values: unknown[]): ExpressionError {
  return new ExpressionError(`${operator} does not work on ${values.map(kindOf).join(' and ')}`);
}
