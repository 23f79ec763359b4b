import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startTestRedis } from '../testing.ts';
import { assembleScript } from './assemble-script.ts';
import { SOURCES } from './scripts.ts';

const SHARED = `-- A file of functions.
local p = KEYS[1]
local MOST, KIND = 8, 'a -- b' -- of all
local state = {}

-- Says that it is unused.
local function unused() return MOST end
local function first(n)
  return n + MOST
end
local function second(n)
  state.first = first(n) -- not first alone
  return state.first
end`;

const sourceOf = (script: string) => readFileSync(new URL(`./lua/${script}.lua`, import.meta.url), 'utf8');
const assemble = (script: string, known?: [string, string][]) => assembleScript([SHARED], script, known);

describe('a script', () => {
  it('is sent with what it uses of the shared files, and what that uses, without comments', () => {
    expect(assemble('-- second\nreturn first(2)')).toBe(`local function first(n)
  return n + 8
end

return first(2)`);
    expect(assemble('return second(2)')).toContain('local state = {}\nlocal function first(n)');
    expect(assemble('return ARGV.first')).not.toContain('unused');
  });

  it('has the values of constants in their places, and only there', () => {
    const script = `local OWN = 2\nreturn { OWN, KIND, KNOWN, p .. 'MOST', MOST } -- MOST`;
    expect(assemble(script, [['KNOWN', '7']])).toBe(`return { 2, 'a -- b', 7, KEYS[1] .. 'MOST', 8 } `);
  });

  it('makes what it does not usually call when it is called', () => {
    const assembled = assemble('-- @usual second\nreturn second(first(2)) + { first = 1 }.first');
    expect(assembled).toBe(`local rare
local state = {}
local function second(n)
  state.first = rare().first(n) 
  return state.first
end
local made
function rare()
if made then return made end
local function first(n)
  return n + 8
end
made = { first = first }
return made
end

return second(rare().first(2)) + { first = 1 }.first`);
  });
});

/** What Lua gives to call by name. */
const GIVEN =
  /^(?:function|if|and|or|not|return|in|while|until|ipairs|pairs|tonumber|type|unpack|pcall|rare)$/;

describe.each(SOURCES)('%s', (script, lua) => {
  const code = lua.replace(/'[^'\n]*'/g, "''");

  it('has all functions that it calls', () => {
    const called = Array.from(code.matchAll(/(?<![\w.])(\w+)\(/g), ([, name]) => name!);
    const missing = called.filter(
      (name) => !GIVEN.test(name) && !new RegExp(`function ${name}\\(`).test(code),
    );
    expect(missing).toEqual([]);
  });

  it('calls nothing else by the name of a function that is made when it is called', () => {
    expect(code).not.toMatch(/(?:local|for|function)[^=\n(]*rare\(\)\./);
    expect(code).not.toMatch(/function \w*\([^)]*rare\(/);
  });

  it('names no usual function that there is not', () => {
    const lines = Array.from(sourceOf(script).matchAll(/^-- @usual (.*)$/gm), ([, names]) => names!);
    for (const name of lines.flatMap((line) => line.split(' '))) {
      expect(code).toMatch(new RegExp(`^local function ${name}\\(`, 'm'));
    }
  });
});

describe('Redis', () => {
  it('takes every script', async () => {
    const { client, stop } = await startTestRedis();
    try {
      for (const [, lua] of SOURCES) await client.call('SCRIPT', 'LOAD', lua);
    } finally {
      await stop();
    }
  });
});
