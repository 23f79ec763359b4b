import { BlockList, isIP } from 'node:net';

type Family = 'ipv4' | 'ipv6';

/**
 * IPv4 ranges that are no place of the public internet: the IANA IPv4 Special-Purpose Address Registry (RFC 6890),
 * multicast (RFC 5771), and one address that Azure answers inside every virtual machine.
 */
const SPECIAL_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private use
  '100.64.0.0/10', // shared address space of carriers
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // Azure's wire server
  '169.254.0.0/16', // link local, with the metadata service of most clouds
  '172.16.0.0/12', // private use
  '192.0.0.0/24', // IETF protocol assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private use
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, with the broadcast address
] as const;

/**
 * The IPv6 space that may hold receivers. It is an allow-list, since IANA has given out global unicast addresses
 * from 2000::/3 only: all else (loopback, unique local, link local, multicast, discard-only, SRv6 SIDs, local-use
 * NAT64, IPv4-compatible, unallocated) stays out. IPv4-mapped addresses and those of the NAT64 prefix (RFC 6052
 * §2.1) stand for an IPv4 address, which then decides.
 */
const ROUTABLE_IPV6 = ['2000::/3', '::ffff:0:0/96', '64:ff9b::/96'] as const;

/** What the IANA IPv6 Special-Purpose Address Registry takes out of 2000::/3. */
const SPECIAL_IPV6 = [
  '2001::/23', // IETF protocol assignments: Teredo, benchmarks, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which hides an IPv4 address
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
] as const;

/**
 * Says which addresses deliveries may reach: public ones, and the private ones that the operator allows.
 *
 * Failure policy: what is not recognised as public is refused.
 */
export class AddressPolicy {
  readonly #special = new BlockList();
  readonly #routable6 = new BlockList();
  // One list per family, since an IPv6 rule such as ::/0 otherwise holds for IPv4 as well.
  readonly #allowed4 = new BlockList();
  readonly #allowed6 = new BlockList();

  /** @param allowSubnets CIDRs to allow although they are not public. Throws a `RangeError` for a malformed one. */
  constructor(allowSubnets: readonly string[] = []) {
    for (const text of SPECIAL_IPV4) addWithNat64(this.#special, readCidr(text));
    for (const text of SPECIAL_IPV6) add(this.#special, readCidr(text));
    for (const text of ROUTABLE_IPV6) add(this.#routable6, readCidr(text));
    for (const text of allowSubnets) {
      const cidr = readCidr(text);
      if (cidr.family === 'ipv4') addWithNat64(this.#allowed4, cidr);
      else add(this.#allowed6, cidr);
    }
  }

  /** Whether a delivery may connect to `ip`, an address in text form; anything else is refused. */
  allows(ip: string): boolean {
    // A zone (fe80::1%eth0) only says through which interface the address is meant.
    const address = ip.includes('%') ? ip.slice(0, ip.indexOf('%')) : ip;
    const version = isIP(address);
    if (version === 0) return false;
    const family = version === 4 ? 'ipv4' : 'ipv6';
    if (this.#allowed4.check(address, family)) return true;
    if (family === 'ipv4') return !this.#special.check(address, family);
    if (this.#allowed6.check(address, family)) return true;
    return this.#routable6.check(address, family) && !this.#special.check(address, family);
  }

  /** Whether `localhost` may be reached in either family. */
  get allowsLoopback(): boolean {
    return this.allows('127.0.0.1') || this.allows('::1');
  }
}

/** What is wrong with a CIDR such as `10.0.0.0/8` or `fd00::/8`, or undefined. Host bits may be set. */
export function parseCidr(text: string): string | undefined {
  return splitCidr(text) === undefined
    ? 'must be an address and a prefix length, such as 10.0.0.0/8 or fd00::/8'
    : undefined;
}

/** What a deployment asks of the URLs it delivers to. */
export type UrlRule = { httpsOnly: boolean; policy: AddressPolicy };

export const MAX_URL_LENGTH = 2048;

/**
 * Checks the URL of a receiver: http or https, no credentials, no fragment, and no host that names a refused
 * address in any notation that the URL standard understands (`127.1`, `0x7f.1`, `[::ffff:7f00:1]`). A host name is
 * accepted here; what it resolves to is checked when connecting, since it may change at any time.
 */
export function checkUrl(text: string, rule: UrlRule): { url: URL } | { problem: string } {
  if (text.length > MAX_URL_LENGTH) return { problem: `must have at most ${MAX_URL_LENGTH} characters` };
  // The URL standard drops or rewrites these in silence; other parsers on the way may read them differently.
  if (/[\p{Cc}\s\\]/u.test(text)) return { problem: 'must not contain spaces, control characters or \\' };
  if (!text.isWellFormed()) return { problem: 'must be valid Unicode' };
  const url = /^https?:\/\/[^/?#]/i.test(text) ? URL.parse(text) : null;
  if (url === null) return { problem: 'must be an absolute http or https URL' };
  const problem = partsProblem(url, text) ?? hostProblem(url.hostname, rule.policy);
  if (problem !== undefined) return { problem };
  if (rule.httpsOnly && url.protocol !== 'https:') return { problem: 'must be an https URL' };
  return { url };
}

function partsProblem(url: URL, text: string): string | undefined {
  const authority = text.slice(text.indexOf('//') + 2).split(/[/?#]/, 1)[0]!;
  if (authority.includes('@')) return 'must not contain credentials; use headers instead';
  if (text.includes('#')) return 'must not have a fragment, which is never sent';
  if (url.port === '0') return 'must not have port 0';
  return undefined;
}

function hostProblem(hostname: string, policy: AddressPolicy): string | undefined {
  const name = hostname.replace(/\.$/, '');
  const ip = name.startsWith('[') ? name.slice(1, -1) : name;
  const refused = isIP(ip)
    ? !policy.allows(ip)
    : (name === 'localhost' || name.endsWith('.localhost')) && !policy.allowsLoopback;
  return refused ? 'must not name a private, local or reserved address' : undefined;
}

type Cidr = { address: string; prefix: number; family: Family };

function splitCidr(text: string): Cidr | undefined {
  const match = /^([0-9A-Fa-f:.]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  if (!match) return undefined;
  const [, address = '', length] = match;
  const version = isIP(address);
  const prefix = Number(length);
  if (version === 0 || prefix > (version === 4 ? 32 : 128)) return undefined;
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}

function readCidr(text: string): Cidr {
  const cidr = splitCidr(text);
  if (cidr === undefined) throw new RangeError(`${text} is not a CIDR`);
  return cidr;
}

function add(list: BlockList, { address, prefix, family }: Cidr): void {
  list.addSubnet(address, prefix, family);
}

/** Adds an IPv4 range with its NAT64 form. `BlockList` itself applies IPv4 rules to IPv4-mapped addresses. */
function addWithNat64(list: BlockList, cidr: Cidr): void {
  add(list, cidr);
  list.addSubnet(`64:ff9b::${cidr.address}`, 96 + cidr.prefix, 'ipv6');
}
