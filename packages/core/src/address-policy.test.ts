import { describe, expect, it } from 'vitest';
import { AddressPolicy, checkUrl, parseCidr } from './address-policy.ts';

const REFUSED_IPV4 = [
  '0.0.0.0',
  '10.255.255.255',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.31.196.1',
  '192.52.193.1',
  '192.88.99.1',
  '192.168.1.1',
  '192.175.48.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
];

const REFUSED_IPV6 = [
  '::',
  '::1',
  '::7f00:1',
  '::8.8.8.8',
  '::ffff:0:8.8.8.8',
  '64:ff9b:1::8.8.8.8',
  '100::1',
  '100:0:0:1::1',
  '2001::1',
  '2001:2::1',
  '2001:10::1',
  '2001:20::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '2002:808:808::',
  '2620:4f:8000::1',
  '3fff::1',
  '4000::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
];

const PUBLIC = [
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.0.1.0',
  '223.255.255.255',
  '2001:4860:4860::8888',
  '2606:4700::1111',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
];

describe('AddressPolicy', () => {
  const policy = new AddressPolicy();

  it.each(REFUSED_IPV4)('refuses %s, also as a mapped, NAT64 and 6to4 address', (ip) => {
    const [a = 0, b = 0, c = 0, d = 0] = ip.split('.').map(Number);
    const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
    for (const form of [ip, `::ffff:${ip}`, `::ffff:${hex}`, `64:ff9b::${hex}`, `::${hex}`, `2002:${hex}::1`])
      expect(policy.allows(form), form).toBe(false);
  });

  it.each(REFUSED_IPV6)('refuses %s', (ip) => expect(policy.allows(ip)).toBe(false));

  it.each(PUBLIC)('allows %s', (ip) => expect(policy.allows(ip)).toBe(true));

  it.each(['', 'localhost', '1.2.3', '0x7f000001', '[::1]', '8.8.8.8 '])(
    'refuses %j, which is no address',
    (ip) => expect(policy.allows(ip)).toBe(false),
  );

  it('allows the subnets it is given, in every form of their addresses', () => {
    const open = new AddressPolicy(['127.0.0.0/8', '10.1.0.0/16', 'fd00::/8']);
    for (const ip of ['127.0.0.1', '::ffff:127.0.0.1', '10.1.2.3', '64:ff9b::10.1.2.3', 'fd12::1'])
      expect(open.allows(ip), ip).toBe(true);
    for (const ip of ['10.2.0.1', '::1', 'fc00::1', '169.254.169.254', '::ffff:10.2.0.1', '2002:7f00:1::'])
      expect(open.allows(ip), ip).toBe(false);
  });

  it('keeps an IPv6 subnet from allowing IPv4 addresses', () => {
    expect(new AddressPolicy(['::/0']).allows('10.0.0.1')).toBe(false);
    expect(new AddressPolicy(['::/0']).allows('fe80::1')).toBe(true);
    expect(new AddressPolicy(['0.0.0.0/0']).allows('fe80::1')).toBe(false);
    expect(new AddressPolicy(['0.0.0.0/0']).allows('10.0.0.1')).toBe(true);
  });

  it('throws on a malformed subnet', () =>
    expect(() => new AddressPolicy(['10.0.0.0/33'])).toThrow(RangeError));
});

describe('parseCidr', () => {
  it.each([
    '10.0.0.0/8',
    '127.0.0.1/8',
    '0.0.0.0/0',
    '1.2.3.4/32',
    'fd00::/8',
    '::1/128',
    '::ffff:10.0.0.0/104',
  ])('accepts %s', (text) => expect(parseCidr(text)).toBeUndefined());

  it.each([
    '',
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0/8',
    '::/129',
    'fe80::1%lo/64',
    'x/8',
  ])('refuses %j', (text) => expect(parseCidr(text)).toMatch(/^must be/));
});

describe('checkUrl', () => {
  const rule = { httpsOnly: false, policy: new AddressPolicy() };
  const problem = (text: string, given = rule) => {
    const checked = checkUrl(text, given);
    return 'problem' in checked ? checked.problem : undefined;
  };

  it.each([
    'https://example.com',
    'HTTPS://Example.com:8443/a/b?c=d&e=@',
    'http://1.1.1.1/',
    'http://[2606:4700::1111]:81/x',
    'https://bücher.example/ö',
    'https://notlocalhost/',
  ])('accepts %s', (text) => expect(problem(text)).toBeUndefined());

  it.each([
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '0177.0.0.1',
    '127.0.0.1.',
    '127%2e0.0.1',
    '１２７.0.0.1',
    '0',
    '169.254.169.254',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::7f00:1]',
    '[64:ff9b::a9fe:a9fe]',
    '[2002:7f00:1::]',
    '[fd00::1]',
    'localhost',
    'LOCALHOST.',
    'api.localhost',
  ])('refuses the host %s', (host) => {
    expect(problem(`http://${host}/`)).toBe('must not name a private, local or reserved address');
    expect(problem(`https://${host}:8443/`)).toBe('must not name a private, local or reserved address');
  });

  it.each([
    ['', /absolute http or https URL/],
    ['example.com', /absolute http or https URL/],
    ['//example.com', /absolute http or https URL/],
    ['http:example.com', /absolute http or https URL/],
    ['http:///example.com', /absolute http or https URL/],
    ['http://', /absolute http or https URL/],
    ['http://[fe80::1%25eth0]/', /absolute http or https URL/],
    ['http://256.256.256.256/', /absolute http or https URL/],
    ['http://a.com:65536/', /absolute http or https URL/],
    ['ftp://example.com/', /absolute http or https URL/],
    ['file:///etc/passwd', /absolute http or https URL/],
    ['javascript:alert(1)', /absolute http or https URL/],
    ['https://user:pass@example.com/', /credentials/],
    ['https://user@example.com/', /credentials/],
    ['https://@example.com/', /credentials/],
    ['https://example.com/#part', /fragment/],
    ['https://example.com/#', /fragment/],
    ['https://example.com:0/', /port 0/],
    [' https://example.com/', /spaces/],
    ['https://exam\nple.com/', /spaces/],
    ['https://example.com/a b', /spaces/],
    ['https://example.com\\@127.0.0.1/', /spaces, control characters or/],
    [`https://example.com/${'a'.repeat(2029)}`, /2048 characters/],
  ])('refuses %j', (text, message) => expect(problem(text)).toMatch(message));

  it('accepts 2048 characters', () =>
    expect(problem(`https://example.com/${'a'.repeat(2028)}`)).toBeUndefined());

  it('answers the parsed URL', () => {
    const checked = checkUrl('https://example.com/hook', rule);
    expect('url' in checked && checked.url.hostname).toBe('example.com');
  });

  it('accepts localhost where loopback is allowed', () => {
    const open = { httpsOnly: false, policy: new AddressPolicy(['127.0.0.0/8']) };
    expect(problem('http://localhost:9000/', open)).toBeUndefined();
    expect(problem('http://127.1:9000/', open)).toBeUndefined();
    expect(problem('http://[::1]:9000/', open)).toMatch(/private/);
  });

  it('asks for https where it is demanded', () => {
    const strict = { ...rule, httpsOnly: true };
    expect(problem('http://example.com/', strict)).toBe('must be an https URL');
    expect(problem('https://example.com/', strict)).toBeUndefined();
  });
});
