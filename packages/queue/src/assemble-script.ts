/** A statement of a shared file: what it declares, and its text in pieces. */
type Statement = { names: string[]; tokens: string[] };

const TOKEN = /--[^\n]*|'[^'\n]*'|"[^"\n]*"|[A-Za-z_]\w*|\d[\w.]*|\.+|\s+|[^\s\w]/g;
const DECLARES = /^local (?:function )?(\w+(?:, \w+)*)/;
/** What a script calls on its usual way, by its own account. */
const USUAL = /^-- @usual (.*)$/gm;
const LITERAL = `(?:\\d+|'[^',\\n]*')`;
const CONSTANTS = new RegExp(
  `^local ([A-Z][A-Z0-9_]*(?:, [A-Z][A-Z0-9_]*)*) = (${LITERAL}(?:, ${LITERAL})*)(?: --.*)?$|^local (p) = (KEYS\\[1\\])$`,
);

/**
 * Puts a script together from its own text and what it uses of the shared files. Redis runs a script from its first line at
 * every call, and so makes anew each function that stands in it, whether it is called or not.
 *
 * - Of the shared files is taken what the script uses, and what that uses. They are rows of statements, each of which begins
 *   with `local` at the beginning of a line.
 * - A script may name, in lines `-- @usual name name …`, the shared functions that it calls on its usual way. The others are
 *   then made when the first of them is called. It does the same whatever stands there.
 * - Constants (upper-case names of numbers and texts, and `p`) are replaced by their values, since each variable from outside
 *   that a function names is work when the function is made.
 *
 * @param known further constants
 */
export function assembleScript(
  shared: string[],
  script: string,
  known: [name: string, value: string][] = [],
): string {
  const lines = [...shared, script].flatMap((text) => text.split('\n'));
  const constants = new Map([...known, ...lines.flatMap(constantsIn)]);
  const own = tokenize(script, constants);
  const statements = shared.flatMap((text) => split(text, constants));
  const taken = whatIsUsed(statements, own);
  const usual = new Set(Array.from(script.matchAll(USUAL), ([, names]) => names!.split(' ')).flat());
  const isRare = ({ names, tokens }: Statement) =>
    usual.size > 0 && tokens[2] === 'function' && !usual.has(names[0]!);
  const rare = taken.filter(isRare);
  if (rare.length === 0) return textOf(taken) + own.join('');
  const names = new Set(rare.map((statement) => statement.names[0]!));
  // What stands before them, and yet calls them.
  const others = taken
    .filter((statement) => !isRare(statement))
    .map((statement) => calling(names, statement));
  return `local rare
${textOf(others)}local made
function rare()
if made then return made end
${textOf(rare)}made = { ${Array.from(names, (name) => `${name} = ${name}`).join(', ')} }
return made
end
${calling(names, { names: [], tokens: own }).tokens.join('')}`;
}

const textOf = (statements: Statement[]) => statements.map(({ tokens }) => tokens.join('')).join('');

/** With these functions called where they are made. After a `.` or before a `=` a name is that of a field. */
function calling(rare: Set<string>, { names, tokens }: Statement): Statement {
  const isField = (i: number) =>
    tokens[i - 1] === '.' || /^\s*=[^=]/.test(tokens.slice(i + 1, i + 4).join(''));
  const called = (token: string, i: number) => rare.has(token) && !isField(i);
  return { names, tokens: tokens.map((token, i) => (called(token, i) ? `rare().${token}` : token)) };
}

/** What `own` uses, and what that uses, in its order: a statement can use only what stands before it. */
function whatIsUsed(statements: Statement[], own: string[]): Statement[] {
  const used = new Set(own);
  const taken: Statement[] = [];
  for (const statement of statements.toReversed()) {
    if (!statement.names.some((name) => used.has(name))) continue;
    for (const token of statement.tokens) used.add(token);
    taken.unshift(statement);
  }
  return taken;
}

function split(shared: string, constants: Map<string, string>): Statement[] {
  const texts: string[] = [];
  for (const line of shared.split('\n')) {
    if (line === '' || line.startsWith('--')) continue;
    if (line.startsWith('local ')) texts.push(`${line}\n`);
    else texts[texts.length - 1] += `${line}\n`;
  }
  return texts
    .filter((text) => !CONSTANTS.test(text.trimEnd()))
    .map((text) => ({
      names: DECLARES.exec(text)?.[1]?.split(', ') ?? [],
      tokens: tokenize(text, constants),
    }));
}

/** Without comments and declarations of constants, and with these replaced by their values. */
function tokenize(text: string, constants: Map<string, string>): string[] {
  const lines = text.split('\n').filter((line) => !CONSTANTS.test(line));
  const tokens = lines.join('\n').match(TOKEN) ?? [];
  return tokens.filter((token) => !token.startsWith('--')).map((token) => constants.get(token) ?? token);
}

function constantsIn(line: string): [name: string, value: string][] {
  const [, names, values, only, value] = CONSTANTS.exec(line) ?? [];
  if (only !== undefined && value !== undefined) return [[only, value]];
  if (names === undefined || values === undefined) return [];
  const of = values.split(', ');
  return names.split(', ').map((name, i) => [name, of[i]!]);
}
