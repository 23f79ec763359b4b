/** Why an expression cannot be saved or evaluated. `message` is for its author, and may quote a little of the event. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
}

/** It needs more work than is done in process. No verdict on the expression: the sandbox may have an answer. */
export class TooMuchWork extends Error {
  override readonly name = 'TooMuchWork';
}

const MOST_QUOTED = 40;

/** A value in a message: short, whatever it is. */
export function quote(value: unknown): string {
  const text = String(value);
  return `"${text.length > MOST_QUOTED ? `${text.slice(0, MOST_QUOTED)}…` : text}"`.toWellFormed();
}
