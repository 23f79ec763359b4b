import { describe, expect, it } from 'vitest';
import { type EventFacts, eventVariables } from './event-variables.ts';
import { compileExpression, evaluateFilter, evaluateTransform } from './expression.ts';
import { WORK_IN_PROCESS } from './limits.ts';

const PAYLOAD = `{"n": 5, "f": 5.5, "zero": 0, "yes": true, "nothing": null, "text": "Hi there", "a-b": 1, "é": "ö",
  "list": [1, 2, 3], "words": ["a", "b"], "deep": {"k": {"v": 1}}, "big": 12345678901234567890,
  "__proto__": {"polluted": 1}, "constructor": {"name": "mine"}, "toString": 3, "at": "2026-01-31T12:30:45.5Z"}`;

const FACTS: EventFacts = {
  type: 'order.created',
  payload: PAYLOAD,
  environment: 'eu',
  attributes: { tags: ['a'], produced_by: 'me' },
  sequence: 7,
  correlationId: 'flow',
  id: 'evt_1',
  acceptedAt: Date.parse('2026-01-31T12:00:00Z'),
};

function run(source: string, facts: EventFacts = FACTS, work = Infinity): unknown {
  const event = eventVariables(facts);
  const result = evaluateTransform(compileExpression(source, 'transform'), event, work);
  return 'body' in result ? (result.json ? JSON.parse(result.body) : `text:${result.body}`) : result;
}

const fails = (message: string) => ({ failure: message });

describe('an expression reads', () => {
  it.each<[string, unknown]>([
    ['type', 'text:order.created'],
    ['[environment, correlation_id, id]', ['eu', 'flow', 'evt_1']],
    ['sequence', 7],
    ['timestamp', '2026-01-31T12:00:00Z'],
    ['attributes.tags', ['a']],
    ['payload.n', 5],
    ['payload["a-b"]', 1],
    ['payload["é"]', 'text:ö'],
    ['payload.deep.k.v', 1],
    ['payload.list[1]', 2],
    ['payload.list[payload.zero]', 1],
    ['payload.nothing', null],
    ['payload.missing', fails('no such field: "missing"')],
    ['payload.deep.missing.v', fails('no such field: "missing"')],
    ['payload.list[3]', fails('no such element: "3"')],
    ['payload.list[-1]', fails('no such element: "-1"')],
    ['payload.list[0.5]', fails('no such element: "0.5"')],
    ['payload.text.length', fails('a string has no field "length"')],
    ['payload.nothing.x', fails('a null_type has no field "x"')],
    ['payload[1]', fails('a int is no name of a field')],
    [
      '[has(payload.n), has(payload.x), has(payload.nothing), has(payload.deep.k)]',
      [true, false, true, true],
    ],
    ['has(payload.n.x)', false],
    ['has(payload.x.y)', fails('no such field: "x"')],
  ])('%s', (source, expected) => expect(run(source)).toEqual(expected));

  it('null where there is nothing', () => {
    const bare = { type: 'a', payload: '1', id: 'e', acceptedAt: 0 };
    const source = '[environment, correlation_id, sequence, payload, size(attributes)]';
    expect(run(source, bare)).toEqual([null, null, null, 1, 0]);
    expect(run('environment == "eu"', bare)).toBe(false);
  });
});

describe('an expression gets at no prototype', () => {
  it.each<[string, unknown]>([
    ['payload.__proto__', { polluted: 1 }],
    ['payload.constructor', { name: 'mine' }],
    ['payload.toString', 3],
    ['payload.deep.__proto__', fails('no such field: "__proto__"')],
    ['payload.deep["constr" + "uctor"]', fails('no such field: "constructor"')],
    ['payload.deep.hasOwnProperty', fails('no such field: "hasOwnProperty"')],
    ['payload.list["constructor"]', fails('no such element: "constructor"')],
    ['payload.list["__proto__"]', fails('no such element: "__proto__"')],
    ['payload.text["__proto__"]', fails('a string has no field "__proto__"')],
    ['dyn(timestamp)["__proto__"]', fails('a timestamp has no field "__proto__"')],
    ['dyn(timestamp).getTime', fails('a timestamp has no field "getTime"')],
    ['dyn(bytes("x")).buffer', fails('a bytes has no field "buffer"')],
    ['dyn(type(1)).type', fails('a type has no field "type"')],
    ['attributes.constructor', fails('no such field: "constructor"')],
    ['{"a": 1}.__proto__', fails('no such field: "__proto__"')],
    ['{"a": 1}["constructor"]', fails('no such field: "constructor"')],
    ['has(payload.deep.__proto__) || has(timestamp.__proto__) || has(attributes.toString)', false],
    ['"__proto__" in payload.deep || "constructor" in attributes', false],
    ['{"constructor": 1} == payload.deep', false],
    ['size({"__proto__": 1, "toString": 2})', 2],
  ])('%s', (source, expected) => {
    expect(run(source)).toEqual(expected);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('and makes none', () => {
    const result = evaluateTransform(
      compileExpression('{"__proto__": {"x": 1}}', 'transform'),
      eventVariables(FACTS),
      1000,
    );
    expect(result).toEqual({ body: '{"__proto__":{"x":1}}', json: true });
    expect(({} as { x?: number }).x).toBeUndefined();
  });
});

describe('operators', () => {
  it.each<[string, unknown]>([
    ['payload.n == 5', true],
    ['payload.n > 4.5 && payload.n >= 5 && payload.n < 6', true],
    ['payload.n + 1', 6],
    ['1 + payload.f', 6.5],
    ['payload.n / 2', 2.5],
    ['7 / 2', 3],
    ['-7 / 2', -3],
    ['-7 % 3', -1],
    ['payload.n % 2', 1],
    ['2 * 3 + 4 * -1', 2],
    ['1 / 0', fails('division by zero')],
    ['1 % 0', fails('division by zero')],
    ['9223372036854775807 + 1', fails('an int has more than 64 bits')],
    ['payload.big', 12345678901234567000],
    ['9007199254740993 == 9007199254740992', false],
    ['string(-9223372036854775808)', 'text:-9223372036854775808'],
    ['-9223372036854775808 - 1', fails('an int has more than 64 bits')],
    ['1 == 1.0 && 1.0 == 1', true],
    ['"a" + "b"', 'text:ab'],
    ['[1] + payload.list', [1, 1, 2, 3]],
    ['payload.n + "1"', fails('+ does not work on double and string')],
    ['payload.text < "Z" && "a" < "b"', true],
    ['payload.text > 1', fails('> does not work on string and int')],
    ['payload.n == "5"', false],
    ['payload.list == [1, 2, 3] && payload.list != [1, 2]', true],
    ['payload.deep == {"k": {"v": 1.0}}', true],
    ['2 in payload.list && !(9 in payload.list)', true],
    ['"k" in payload.deep', true],
    ['1 in payload.n', fails('in does not work on int and double')],
    ['payload.missing == 1 || true', true],
    ['true || payload.missing == 1', true],
    ['payload.missing == 1 && false', false],
    ['payload.missing == 1 && true', fails('no such field: "missing"')],
    ['payload.n && true', fails('&& does not work on double')],
    ['payload.yes ? "y" : "n"', 'text:y'],
    ['payload.n ? 1 : 2', fails('? does not work on double')],
    ['!payload.yes', false],
    ['-payload.n', -5],
    ['timestamp > timestamp("2026-01-01T00:00:00Z")', true],
    ['timestamp == timestamp(int(timestamp))', true],
  ])('%s', (source, expected) => expect(run(source)).toEqual(expected));
});

describe('functions', () => {
  it.each<[string, unknown]>([
    ['size("h\u{1F600}") + size([1]) + size({"a": 1}) + payload.list.size()', 7],
    ['string(1) + string(1.5) + string(true) + string(bytes("é"))', 'text:11.5trueé'],
    ['string(payload.n)', 'text:5'],
    ['string(timestamp)', 'text:2026-01-31T12:00:00Z'],
    ['string(payload.list)', fails('string() does not take a list: use json(…)')],
    ['[int("12"), int(1.9), int(payload.f), int(timestamp)]', [12, 1, 5, 1769860800]],
    ['int("0x10")', fails('"0x10" is no int')],
    ['[double("1.5"), double(2), double("1e3")]', [1.5, 2, 1000]],
    ['double("NaN")', fails('NaN cannot be written as JSON')],
    ['double("x")', fails('"x" is no number')],
    ['[bool("true"), bool("0")]', [true, false]],
    ['timestamp("2024-02-29t23:00:00.5+01:00")', '2024-02-29T22:00:00.500Z'],
    ['timestamp("2026-02-29T00:00:00Z")', fails('"2026-02-29T00:00:00Z" is no RFC 3339 timestamp')],
    ['timestamp("2026-01-01T24:00:00Z")', fails('"2026-01-01T24:00:00Z" is no RFC 3339 timestamp')],
    ['timestamp("2026-13-01T00:00:00Z")', fails('"2026-13-01T00:00:00Z" is no RFC 3339 timestamp')],
    ['timestamp("yesterday")', fails('"yesterday" is no RFC 3339 timestamp')],
    ['timestamp(payload.at).getSeconds()', 45],
    [
      '[timestamp.getFullYear(), timestamp.getMonth(), timestamp.getDate(), timestamp.getDayOfMonth()]',
      [2026, 0, 31, 30],
    ],
    [
      '[timestamp.getDayOfWeek(), timestamp.getDayOfYear(), timestamp.getHours(), timestamp.getMinutes()]',
      [6, 30, 12, 0],
    ],
    ['type(payload.n) == double && type(payload) == map && type(null) == null_type', true],
    ['type(1)', fails('a type cannot be written as JSON')],
    ['payload.text.contains("there") && payload.text.startsWith("Hi") && payload.text.endsWith("re")', true],
    ['[payload.text.indexOf("t"), payload.text.lastIndexOf("e"), payload.text.indexOf("x")]', [3, 7, -1]],
    ['payload.text.substring(3) + payload.text.substring(0, 2)', 'text:thereHi'],
    ['payload.text.substring(3, 99)', fails('3 to 99 is not within a text of 8 characters')],
    ['payload.text.upperAscii() + "É".lowerAscii()', 'text:HI THEREÉ'],
    ['" x ".trim()', 'text:x'],
    ['payload.words.join("-") + payload.words.join()', 'text:a-bab'],
    ['payload.list.join()', fails('join() takes strings, not double: use string(…)')],
    ['bytes("hi").base64() + bytes("hi").hex()', 'text:aGk=6869'],
    ['json({"a": [1, 1.5, "x", null, true]})', 'text:{"a":[1,1.5,"x",null,true]}'],
    [
      'json({"a": [], "b": {}, "c": [1, {"d": 2}]}, 2)',
      `text:${JSON.stringify({ a: [], b: {}, c: [1, { d: 2 }] }, null, 2)}`,
    ],
    ['json(1, 9)', fails('json() indents by 0 to 8')],
    ['payload.n.size()', fails('.size() does not work on double')],
  ])('%s', (source, expected) => expect(run(source)).toEqual(expected));
});

describe('macros', () => {
  it.each<[string, unknown]>([
    ['payload.list.map(x, x * 2)', [2, 4, 6]],
    ['payload.list.map(x, x > 1, x * 2)', [4, 6]],
    ['payload.list.filter(x, x > 1)', [2, 3]],
    ['payload.deep.map(k, [k, payload.deep[k]])', [['k', { v: 1 }]]],
    [
      '[payload.list.exists(x, x > 2), payload.list.all(x, x > 2), payload.list.exists_one(x, x > 2)]',
      [true, false, true],
    ],
    [
      'payload.list.map(x, payload.words.map(y, y + string(x)))',
      [
        ['a1', 'b1'],
        ['a2', 'b2'],
        ['a3', 'b3'],
      ],
    ],
    ['payload.list.map(x, [x].map(x, x + 10)[0] + x)', [12, 14, 16]],
    ['payload.list.exists(x, x.y == 1 || x == 2)', true],
    ['payload.list.exists(x, x.y == 1)', fails('a double has no field "y"')],
    ['payload.list.map(x, x > 1, x) + payload.list.filter(x, x)', fails('filter() does not work on double')],
    ['payload.n.map(x, x)', fails('map() does not work on double')],
  ])('%s', (source, expected) => expect(run(source)).toEqual(expected));
});

describe('a result', () => {
  it('may have 256 KiB', () => {
    const payload = JSON.stringify({ text: 'x'.repeat(30_000), umlaut: 'ä'.repeat(15_000) });
    const facts = { ...FACTS, payload };
    const times = (count: number, name = 'payload.text', glue = ' + ') => Array(count).fill(name).join(glue);
    expect(run(times(8), facts)).toHaveLength(240_005);
    expect(run(times(9), facts)).toEqual(fails('a text has more than 262144 characters'));
    expect(run(`[${times(9, 'payload.text', ', ')}]`, facts)).toEqual(
      fails('the JSON is longer than 262144 characters'),
    );
    expect(run(times(9, 'payload.umlaut'), facts)).toEqual(fails('the result has more than 262144 bytes'));
  });

  it.each([
    ['payload.words.join(payload.text)', 'join() makes a text of more than 262144 characters'],
    ['json([payload.words, payload.words, payload.words])', 'the JSON is longer than 262144 characters'],
    ['payload.list + payload.list + payload.list + payload.list', 'a list has more than 65536 elements'],
  ])('on the way to which %s grows too large', (source, message) => {
    const [list, words] = [Array(20_000).fill(1), Array(3000).fill('x'.repeat(35))];
    const payload = { list, words: [], text: 'x'.repeat(2000) };
    const event = {
      ...eventVariables({ ...FACTS, payload: JSON.stringify(payload) }),
      payload: { ...payload, words },
    };
    const result = evaluateTransform(compileExpression(source, 'transform'), event, Infinity);
    expect(result).toEqual(fails(message));
  });

  it('has no half of a surrogate pair', () => {
    const event = eventVariables({ ...FACTS, payload: '"\u{1F600}"' });
    const result = evaluateTransform(compileExpression('payload.substring(1)', 'transform'), event, 1000);
    expect(result).toEqual({ body: '\uFFFD', json: false });
  });
});

describe('what needs too much work in process is handed on:', () => {
  const texts = { a: 'a'.repeat(40_000), b: `${'a'.repeat(10_000)}b${'a'.repeat(10_000)}` };
  const twins = { a: Array(16_000).fill(1), b: Array(16_000).fill(1) };
  const many = (part: string, count: number) => `[${Array(count).fill(part).join(', ')}]`;

  it.each<[string, string, unknown]>([
    ['one search for a text that nearly fits', 'payload.a.contains(payload.b)', texts],
    ['the same from the end', 'payload.a.lastIndexOf(payload.b)', texts],
    ['long texts rewritten', many('payload.a.lowerAscii()', 2), texts],
    ['long texts counted', many('size(payload.a)', 20), texts],
    ['long lists compared', many('payload.a == payload.b', 8), twins],
    ['long lists looked through', many('7 in payload.a', 8), twins],
    ['long lists added', many('size(payload.a + payload.b)', 32), twins],
    ['long JSON', many('size(json(payload))', 8), twins],
    ['a long result', many('payload', 8), twins],
  ])('%s', (_, source, payload) => {
    const event = eventVariables({ ...FACTS, payload: JSON.stringify(payload) });
    const result = evaluateTransform(compileExpression(source, 'transform'), event, WORK_IN_PROCESS);
    expect(result).toEqual({ work: true });
  });
});

describe('a filter', () => {
  const filter = (source: string) =>
    evaluateFilter(compileExpression(source, 'filter'), eventVariables(FACTS), WORK_IN_PROCESS);

  it.each<[string, unknown]>([
    ['payload.yes', { passes: true }],
    ['payload.n > 5', { passes: false }],
    ['payload.n', fails('the filter came to something else than true or false')],
    ['payload.missing', fails('no such field: "missing"')],
  ])('%s', (source, expected) => expect(filter(source)).toEqual(expected));

  it('is done with what it needs more than it was given, whatever else it says', () => {
    const event = eventVariables(FACTS);
    const source = 'payload.text.contains("x") || true';
    expect(evaluateFilter(compileExpression(source, 'filter'), event, 1)).toEqual({ work: true });
  });
});
