import { Environment } from '@marcbachmann/cel-js/evaluator';
import { ExpressionError, quote } from './failure.ts';
import { MAX_DEPTH, MAX_NODES } from './limits.ts';

/** A node of the syntax tree, as the library gives it. `args` by `op`: see `childrenOf` and compile.ts. */
export type Node = { readonly op: string; readonly args: unknown; readonly pos: number };

/**
 * The library parses; it neither checks nor evaluates. Its evaluator keeps a type for each shape of data that it ever
 * compared, takes objects for what their field `constructor` says, and its work cannot be counted
 * (docs/decisions/005-expressions.md).
 */
const parser = new Environment({ limits: { maxAstNodes: MAX_NODES, maxDepth: MAX_DEPTH } });

/** @throws ExpressionError saying where and what */
export function parse(source: string): Node {
  try {
    return parser.parse(source).ast as unknown as Node;
  } catch (error) {
    throw new ExpressionError(describe(error, source));
  }
}

type ParseError = { code?: unknown; summary?: unknown; range?: { start?: unknown } };

function describe(error: unknown, source: string): string {
  const { code, summary, range } = error as ParseError;
  if (error instanceof RangeError) return 'nests too deeply';
  const text = typeof summary === 'string' ? summary : 'it cannot be read';
  if (code === 'limit_exceeded') {
    return text.includes('maxDepth')
      ? `nests more than ${MAX_DEPTH} levels deep: use fewer brackets`
      : `has more than ${MAX_NODES} parts: make it shorter`;
  }
  const start = range?.start;
  const place = typeof start === 'number' ? placeOf(source.slice(start, start + 20)) : '';
  return `is no valid CEL${place}: ${text.length > 120 ? `${text.slice(0, 120)}…` : text}`.toWellFormed();
}

function placeOf(rest: string): string {
  return rest === '' ? ' at its end' : ` at ${quote(rest)}`;
}

export function childrenOf({ op, args }: Node): Node[] {
  switch (op) {
    case 'value':
    case 'id':
      return [];
    case '.':
      return [(args as [Node, string])[0]];
    case '!_':
    case '-_':
      return [args as Node];
    case 'call':
      return (args as [string, Node[]])[1];
    case 'rcall': {
      const [, receiver, rest] = args as [string, Node, Node[]];
      return [receiver, ...rest];
    }
    case 'map':
      return (args as [Node, Node][]).flat();
    default:
      return args as Node[];
  }
}
