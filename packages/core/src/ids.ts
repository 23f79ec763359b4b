/**
 * Generated ids: `{kind}_` + shard in 2 + number in 10 characters of lower-case Crockford base32. The digits
 * ascend in ASCII, so ids of one shard sort as their numbers do, in which order they were made.
 */
export type IdKind = 'evt' | 'dlv' | 'ep' | 'rpl' | 'app' | 'key';

/** Shards are numbered from 0 up to this, exclusively (two digits). */
export const MAX_SHARDS = 32 ** 2;
/** Numbers in a shard are below this (ten digits). */
export const MAX_ID_NUMBER = 32 ** 10;

/**
 * An endpoint keeps its id when its app moves to another shard, but is numbered anew there: from `GUEST` on, by the shard and
 * number that its id tells. So id and number follow from each other in every shard, for ever, and nobody has to look
 * them up. An endpoint's number has 32 bits in a delivery's record.
 */
const GUEST = 2 ** 31;
const GUESTS_OF_A_SHARD = GUEST / MAX_SHARDS;

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const BODY_LENGTH = 12;

const VALUES = new Int8Array(128).fill(-1);
for (let value = 0; value < DIGITS.length; value++) VALUES[DIGITS.charCodeAt(value)] = value;

/** All two-digit combinations, so that an id is six look-ups. */
const PAIRS = Array.from({ length: 1024 }, (_, n) => DIGITS[n >> 5]! + DIGITS[n & 31]!);

/** The id of something that has `number` in `shard`. Throws a `RangeError` for numbers that have no id. */
export function formatId(kind: IdKind, shard: number, number: number): string {
  if (kind === 'ep' && number >= GUEST && number < 2 * GUEST) {
    const born = number - GUEST;
    return formatId(kind, Math.floor(born / GUESTS_OF_A_SHARD), born % GUESTS_OF_A_SHARD);
  }
  if (!isBelow(shard, MAX_SHARDS) || !isBelow(number, MAX_ID_NUMBER)) {
    throw new RangeError(`no ${kind} id for number ${number} in shard ${shard}`);
  }
  const high = Math.floor(number / 2 ** 20);
  const low = number % 2 ** 20;
  return `${kind}_${PAIRS[shard]}${PAIRS[high >>> 20]}${PAIRS[(high >>> 10) & 1023]}${PAIRS[high & 1023]}${PAIRS[low >>> 10]}${PAIRS[low & 1023]}`;
}

/** Shard and number of an id, or undefined for anything but the exact form that `formatId` makes. */
export function parseId(kind: IdKind, text: string): { shard: number; number: number } | undefined {
  const at = kind.length + 1;
  if (text.length !== at + BODY_LENGTH || !text.startsWith(kind) || text[kind.length] !== '_')
    return undefined;
  let shard = 0;
  let number = 0;
  for (let i = 0; i < BODY_LENGTH; i++) {
    const value = VALUES[text.charCodeAt(at + i)] ?? -1;
    if (value < 0) return undefined;
    if (i < 2) shard = shard * 32 + value;
    else number = number * 32 + value;
  }
  return { shard, number };
}

/**
 * The number that an endpoint has in `shard`, be it its own or one that its app has moved to. Undefined for what is no
 * endpoint's id, and for a number too high to be told in another shard (2^21).
 */
export function endpointNumber(shard: number, id: string): number | undefined {
  const born = parseId('ep', id);
  if (!born || born.shard === shard) return born?.number;
  if (born.number >= GUESTS_OF_A_SHARD) return undefined;
  return GUEST + born.shard * GUESTS_OF_A_SHARD + born.number;
}

/**
 * Whether a text has the form of a generated event id. A publisher may not choose such an id: it would stand for
 * an event that Sealpost numbered or will number.
 */
export function looksGenerated(text: string): boolean {
  return parseId('evt', text) !== undefined;
}

/** The id of the BullMQ job that carries a delivery; each generation gets a job of its own. */
export function jobId(deliveryId: string, generation: number): string {
  return `${deliveryId}-${generation}`;
}

/** Delivery and generation of a job id, or undefined for anything but the exact form that `jobId` makes. */
export function parseJobId(text: string): { deliveryId: string; generation: number } | undefined {
  const match = /^(dlv_[0-9a-z]{12})-(0|[1-9][0-9]{0,14})$/.exec(text);
  if (!match || parseId('dlv', match[1]!) === undefined) return undefined;
  return { deliveryId: match[1]!, generation: Number(match[2]) };
}

function isBelow(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < limit;
}
