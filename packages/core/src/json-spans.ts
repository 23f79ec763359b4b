/**
 * Where the parts of a JSON text stand, so that a part can be passed on digit for digit instead of through a parser
 * that rounds numbers. The text must have passed `JSON.parse`: nothing is validated again. Nesting of any depth
 * takes no stack.
 */

/** Start (inclusive) and end (exclusive) in UTF-16 units; `json.slice(...span)` is the value without white space. */
export type Span = [start: number, end: number];

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The spans of the member values of the object that begins at `at` (white space may precede it). Keys are decoded,
 * and the last of several equal keys counts, as with `JSON.parse`. Throws a `TypeError` if no object is there.
 */
export function memberSpans(json: string, at = 0): Map<string, Span> {
  const spans = new Map<string, Span>();
  let position = enter(json, at, OPEN_BRACE, 'object');
  while (json.charCodeAt(position) !== CLOSE_BRACE) {
    const keyEnd = stringEnd(json, position);
    const key = decodeKey(json, position, keyEnd);
    // `:` stands between key and value
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = valueEnd(json, start);
    spans.set(key, [start, end]);
    position = toNext(json, end);
  }
  return spans;
}

/** The spans of the elements of the array that begins at `at`. Throws a `TypeError` if no array is there. */
export function elementSpans(json: string, at = 0): Span[] {
  const spans: Span[] = [];
  let position = enter(json, at, OPEN_BRACKET, 'array');
  while (json.charCodeAt(position) !== CLOSE_BRACKET) {
    const end = valueEnd(json, position);
    spans.push([position, end]);
    position = toNext(json, end);
  }
  return spans;
}

function enter(json: string, at: number, opening: number, kind: string): number {
  const start = skipSpace(json, at);
  if (json.charCodeAt(start) !== opening) throw new TypeError(`no JSON ${kind} begins at ${at}`);
  return skipSpace(json, start + 1);
}

/** From the end of a value to the beginning of the next key or value, or to the closing bracket. */
function toNext(json: string, end: number): number {
  const position = skipSpace(json, end);
  return json.charCodeAt(position) === COMMA ? skipSpace(json, position + 1) : position;
}

function skipSpace(json: string, position: number): number {
  // RFC 8259 §2: space, tab, line feed and carriage return; no other token begins with so small a code
  while (json.charCodeAt(position) <= 0x20) position++;
  return position;
}

function decodeKey(json: string, start: number, end: number): string {
  const raw = json.slice(start + 1, end - 1);
  return raw.includes('\\') ? (JSON.parse(json.slice(start, end)) as string) : raw;
}

function valueEnd(json: string, start: number): number {
  const first = json.charCodeAt(start);
  if (first === QUOTE) return stringEnd(json, start);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return containerEnd(json, start);
  return scalarEnd(json, start);
}

function containerEnd(json: string, start: number): number {
  let depth = 0;
  for (let position = start; position < json.length; position++) {
    const code = json.charCodeAt(position);
    if (code === QUOTE) position = stringEnd(json, position) - 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) return position + 1;
  }
  throw new TypeError('the text is not valid JSON');
}

function scalarEnd(json: string, start: number): number {
  let position = start;
  for (; position < json.length; position++) {
    const code = json.charCodeAt(position);
    if (code <= 0x20 || code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET) break;
  }
  return position;
}

/** `indexOf` finds quotes many times faster than a loop over the characters; a quote after an odd run of `\` is text. */
function stringEnd(json: string, start: number): number {
  for (let quote = json.indexOf('"', start + 1); quote !== -1; quote = json.indexOf('"', quote + 1)) {
    let before = quote - 1;
    while (json.charCodeAt(before) === BACKSLASH) before--;
    if ((quote - before) % 2 === 1) return quote + 1;
  }
  throw new TypeError('the text is not valid JSON');
}
