/**
 * What expressions may be and do. They come from tenants: each figure bounds what one of them can cost everybody else;
 * docs/expressions.md has the measurements.
 */

/** Bytes of source (UTF-8). */
export const MAX_SOURCE_BYTES = { filter: 2048, transform: 4096 } as const;

/** Nodes of the syntax tree, and how deep brackets, calls and field accesses may nest. */
export const MAX_NODES = 256;
export const MAX_DEPTH = 32;

/** `+` in all, and in one chain: what a text or list can grow by. */
export const MAX_PLUS = 32;
export const MAX_PLUS_CHAIN = 8;

/** Bytes of JSON in an event's payload; an expression over a larger one errs. */
export const MAX_EVENT_BYTES = 65_536;
/** How deep values may nest that are compared or written. Deeper ones would meet the stack's end later and less clearly. */
export const MAX_VALUE_DEPTH = 128;

/** Characters of any text that an expression makes on its way, and elements of any list. */
export const MAX_TEXT = 262_144;
export const MAX_LIST = 65_536;

/** Bytes of a transform's result (UTF-8). */
export const MAX_RESULT_BYTES = 262_144;

/**
 * Units of work of one evaluation in process, of 10 ns at most: what needs more than this 1 ms is for the sandbox. Counted,
 * not timed, so that a busy machine gives no other answer than an idle one.
 */
export const WORK_IN_PROCESS = 100_000;
