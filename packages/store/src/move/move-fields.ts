import type { AppPlace, Moves } from '../app-config.ts';

/**
 * What the hash of a config says of an app's moves, beside its records. Not sealed, as the directory is not: they say where
 * something lies, and what lies there is checked.
 */
const FIELDS = { former: 'former', next: 'next', movedTo: 'to', follows: 'follows', leftAt: 'left' } as const;

/** As `sp:apps` has it too. */
export function formatPlace({ shard, number }: AppPlace): string {
  return `${shard}:${number}`;
}

export function parsePlace(text: string): AppPlace {
  const [shard, number] = text.split(':').map(Number);
  return { shard: shard!, number: number! };
}

export function samePlace(a: AppPlace | undefined, b: AppPlace | undefined): boolean {
  return a?.shard === b?.shard && a?.number === b?.number;
}

export function readMoves(fields: Readonly<Record<string, string>>): Moves {
  const place = (text: string | undefined) => (text === undefined ? undefined : parsePlace(text));
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  return {
    former: fields[FIELDS.former]?.split(' ').map(parsePlace),
    next: place(fields[FIELDS.next]),
    movedTo: place(fields[FIELDS.movedTo]),
    follows: number(fields[FIELDS.follows]),
    leftAt: number(fields[FIELDS.leftAt]),
  };
}

/** What of it changes, for lua/write-config.lua: what is undefined goes. */
export function writeMoves(moves: Moves, set: Record<string, string>, del: string[]): void {
  for (const name of Object.keys(moves) as (keyof Moves)[]) {
    const text = textOf(moves[name]);
    if (text === '') del.push(FIELDS[name]);
    else set[FIELDS[name]] = text;
  }
}

function textOf(value: Moves[keyof Moves]): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(value);
  return 'shard' in value ? formatPlace(value) : value.map(formatPlace).join(' ');
}
