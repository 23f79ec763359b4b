import { ExpressionError } from './failure.ts';
import { MAX_NODES, MAX_PLUS, MAX_PLUS_CHAIN, MAX_SOURCE_BYTES } from './limits.ts';
import { childrenOf, type Node, parse } from './syntax.ts';

export type ExpressionKind = 'filter' | 'transform';

/** The syntax tree of a source that is not too large in any way. @throws ExpressionError */
export function parseWithinLimits(source: string, kind: ExpressionKind): Node {
  const most = MAX_SOURCE_BYTES[kind];
  // Characters first: a megabyte is not even counted.
  if (source.length > most || Buffer.byteLength(source) > most) {
    throw new ExpressionError(`has more than ${most} bytes: make it shorter`);
  }
  if (source.trim() === '') throw new ExpressionError('is empty: leave it out, or give null');
  const root = parse(source);
  const seen = { nodes: 0, plus: 0 };
  count(root, seen);
  return root;
}

function count(node: Node, seen: { nodes: number; plus: number }): void {
  if (++seen.nodes > MAX_NODES)
    throw new ExpressionError(`has more than ${MAX_NODES} parts: make it shorter`);
  if (node.op === '+') {
    if (++seen.plus > MAX_PLUS) {
      throw new ExpressionError(`has more than ${MAX_PLUS} "+": use a list and join()`);
    }
    if (chain(node) > MAX_PLUS_CHAIN) {
      throw new ExpressionError(`adds more than ${MAX_PLUS_CHAIN} times in a row: use a list and join()`);
    }
  }
  for (const child of childrenOf(node)) count(child, seen);
}

/** `+` that take each other's results, whatever brackets there are. */
function chain(node: Node): number {
  return node.op === '+' ? 1 + childrenOf(node).reduce((sum, child) => sum + chain(child), 0) : 0;
}
