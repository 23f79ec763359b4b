/**
 * What a test must know of a PromQL expression: that its brackets and strings close, and which series with which labels
 * it reads. Not a parser: where promtool is at hand, that one judges.
 */
export type Selector = { metric: string; labels: { name: string; operator: string; value: string }[] };

const TOKEN = new RegExp(
  [
    String.raw`\s+`,
    String.raw`"(?:[^"\\]|\\.)*"`,
    String.raw`\[[^\]]*\]`,
    String.raw`\d+(?:\.\d+)?`,
    String.raw`[A-Za-z_:$][\w:]*`,
    '=~|!~|!=|==|<=|>=|[-+*/<>=(){},]',
  ].join('|'),
  'y',
);

const WORDS = new Set(['by', 'without', 'and', 'or', 'unless', 'on', 'ignoring', 'offset']);
const FUNCTIONS = new Set([
  'sum',
  'max',
  'min',
  'count',
  'avg',
  'rate',
  'increase',
  'histogram_quantile',
  'vector',
]);
FUNCTIONS.add('min_over_time').add('max_over_time').add('absent');

/** @throws an `Error` for what cannot be an expression */
export function selectorsOf(expression: string): Selector[] {
  const tokens = tokensOf(expression);
  checkBrackets(tokens);
  const selectors: Selector[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (!/^[A-Za-z_:]/.test(token)) continue;
    if (FUNCTIONS.has(token)) {
      if (!['(', 'by', 'without'].includes(tokens[at + 1] ?? '')) throw new Error(`${token} of what?`);
    } else if (['by', 'without', 'on', 'ignoring'].includes(token)) {
      at = tokens.indexOf(')', at); // names of labels
    } else if (!WORDS.has(token)) {
      const end = tokens[at + 1] === '{' ? tokens.indexOf('}', at) : at;
      selectors.push({ metric: token, labels: labelsOf(tokens.slice(at + 2, end)) });
      at = end;
    }
  }
  if (selectors.length === 0) throw new Error('it reads no series');
  return selectors;
}

function tokensOf(expression: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expression.length) {
    const at = TOKEN.lastIndex;
    const [token] = TOKEN.exec(expression) ?? [];
    if (token === undefined) throw new Error(`what is "${expression.slice(at, at + 20)}"?`);
    if (token.trim()) tokens.push(token);
  }
  return tokens;
}

function checkBrackets(tokens: string[]): void {
  const open: string[] = [];
  for (const token of tokens) {
    if (token === '(' || token === '{') open.push(token === '(' ? ')' : '}');
    else if ((token === ')' || token === '}') && open.pop() !== token)
      throw new Error(`${token} closes nothing`);
  }
  if (open.length > 0) throw new Error(`${open.at(-1)} is missing`);
}

function labelsOf(tokens: string[]): Selector['labels'] {
  const labels: Selector['labels'] = [];
  for (let at = 0; at < tokens.length; at += 4) {
    const [name = '', operator = '', value = ''] = tokens.slice(at, at + 3);
    if (!/^(=|!=|=~|!~)$/.test(operator) || !value.startsWith('"')) throw new Error(`${name} is what?`);
    labels.push({ name, operator, value: JSON.parse(value) });
  }
  return labels;
}
