/**
 * Preloaded into a worker (`NODE_OPTIONS=--import`): a resolver of the tests' own. A name under `.rebind.test` says what it
 * resolves to, look-up by look-up, the last one for ever: `public-loopback.rebind.test`; `both` gives both at once.
 */
import dns from 'node:dns';

const ADDRESSES: Record<string, string[]> = {
  // Which the tests allow; all others of 127.0.0.0/8 are blocked, as loopback is.
  public: ['127.0.0.2'],
  loopback: ['127.0.0.1'],
  mapped: ['::ffff:127.0.0.1'],
  private: ['10.0.0.1'],
  both: ['127.0.0.1', '127.0.0.2'],
};

type Callback = (error: Error | null, ...found: unknown[]) => void;

const asked = new Map<string, number>();
const original = dns.lookup as unknown as (...args: unknown[]) => void;

function lookup(name: string, options: { all?: boolean }, callback: Callback): void {
  const script = /^([a-z-]+)\.(?:[\w-]+\.)?rebind\.test$/.exec(name)?.[1]?.split('-');
  if (!script) {
    original(name, options, callback);
    return;
  }
  const nth = asked.get(name) ?? 0;
  asked.set(name, nth + 1);
  const found = ADDRESSES[script[Math.min(nth, script.length - 1)]!]!;
  const addresses = found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  setImmediate(() => {
    if (options.all) callback(null, addresses);
    else callback(null, addresses[0]!.address, addresses[0]!.family);
  });
}

dns.lookup = lookup as unknown as typeof dns.lookup;
