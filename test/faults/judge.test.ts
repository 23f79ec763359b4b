import { describe, expect, it } from 'vitest';
import { CHARACTERS } from './characters.ts';
import { type Evidence, judge, type StoredDelivery } from './judge.ts';
import type { SentEvent } from './producer.ts';
import type { SeenRequest } from './receivers.ts';
import type { Strike } from './strikes.ts';

/* A run in which nothing went wrong; each test spoils one thing of it, and the judge must see that. */

const GOOD = CHARACTERS.find(({ name }) => name === 'good')!;
const START = 1_000_000;
type Case = {
  event: SentEvent;
  delivery: StoredDelivery;
  request: SeenRequest;
  evidence: Evidence;
};

function event(id: string, own: Partial<SentEvent> = {}): SentEvent {
  return {
    input: { type: 'to.good', id },
    idempotencyKey: undefined,
    inTurn: undefined,
    tries: 1,
    sentAt: START,
    ackedAt: START + 5,
    answer: { id, sequence: null, deliveries: [{ id: `dlv_${id}`, endpoint_id: 'ep' }] },
    ...own,
  };
}

function request(no: number, own: Partial<SeenRequest> = {}): SeenRequest {
  return {
    no,
    receiver: 'good',
    event: 'one',
    at: START + 10 + no,
    reused: true,
    outcome: 200,
    endedAt: START + 11 + no,
    wrong: undefined,
    ...own,
  };
}

const attempt = (number: number, no: number, status: number) => ({
  number,
  started_at: new Date(START + 10).toISOString(),
  duration_ms: 3,
  status_code: status,
  error: status < 300 ? null : 'http_status',
  response: { headers: { 'x-request': String(no) } },
});

const strike = (own: Partial<Strike>): Strike => ({
  fault: 'worker killed',
  target: 'worker 1',
  startedAt: START + 1000,
  endedAt: START + 2000,
  repeats: { beforeMs: 0, afterMs: 0 },
  losesRedis: false,
  workers: 1,
  ...own,
});

function delivered(): Case {
  const one = event('one');
  const seen = request(0);
  const delivery: StoredDelivery = {
    id: 'dlv_one',
    event_id: 'one',
    endpoint_id: 'ep',
    status: 'delivered',
    reason: null,
    attempt_count: 1,
    attempts: [attempt(1, 0, 200)],
  };
  const evidence: Evidence = {
    events: [one],
    stored: new Map([['one', [delivery]]]),
    targets: () => [{ endpointId: 'ep', character: GOOD }],
    requests: [seen],
    strikes: [],
    mayForget: true,
    slots: 20,
  };
  return { event: one, delivery, request: seen, evidence };
}

const failuresOf = (evidence: Evidence) => judge(evidence).failures.map(({ what }) => what);

describe('the judge of a run of faults', () => {
  it('finds nothing where all is as it should be', () => {
    expect(failuresOf(delivered().evidence)).toEqual([]);
  });

  const spoiled: [what: string, spoil: (run: Case) => void, told: RegExp][] = [
    [
      'an acknowledged event that does not exist',
      ({ evidence }) => evidence.stored.set('one', undefined),
      /acknowledged, and does not exist/,
    ],
    [
      'a delivery that ACCEPT left out',
      ({ evidence }) => evidence.stored.set('one', []),
      /0 deliveries to good/,
    ],
    [
      'a delivery too many',
      ({ evidence, delivery }) =>
        evidence.stored.set('one', [delivery, { ...delivery, endpoint_id: 'other' }]),
      /2 deliveries, not 1/,
    ],
    [
      'a settlement that was dropped',
      ({ delivery }) => Object.assign(delivery, { attempts: [], attempt_count: 0, status: 'pending' }),
      /request 0 is in no record/,
    ],
    [
      'a delivery that is still on its way',
      ({ delivery }) => Object.assign(delivery, { status: 'retrying' }),
      /it is retrying/,
    ],
    [
      'an attempt that was posted twice without a fault',
      ({ evidence }) => evidence.requests.push(request(1)),
      /request 1 is in no record, and no fault explains it/,
    ],
    [
      'an attempt that was posted twice at once, while a fault struck that cannot do that',
      ({ evidence }) => {
        evidence.requests.push(request(1));
        evidence.strikes.push(strike({}));
      },
      /no fault explains it/,
    ],
    [
      'a repeat that came too long before the fault',
      ({ evidence }) => {
        evidence.requests.push(request(1));
        evidence.strikes.push(strike({ startedAt: START + 8000, endedAt: START + 9000 }));
      },
      /no fault explains it/,
    ],
    [
      'an attempt whose status the receiver never gave',
      ({ request }) => Object.assign(request, { outcome: 500 }),
      /attempt 1 has 200, its request 0 got 500/,
    ],
    [
      'an attempt that no receiver saw',
      ({ delivery }) => {
        delivery.attempts.push({
          ...attempt(2, 0, 200),
          status_code: null as never,
          error: 'timeout',
          response: null as never,
        });
        delivery.attempt_count = 2;
      },
      /attempt 2 \(timeout\) was never seen/,
    ],
    [
      'an attempt that is recorded twice',
      ({ delivery }) => {
        delivery.attempts.push(attempt(2, 0, 200));
        delivery.attempt_count = 2;
      },
      /records request 0 once more/,
    ],
    [
      'a hole in the attempts',
      ({ delivery }) => Object.assign(delivery.attempts[0]!, { number: 2 }),
      /attempts are numbered 2, and counted 1/,
    ],
    [
      'a delivery that is dead too soon',
      ({ delivery, request }) => {
        Object.assign(delivery, {
          status: 'dead',
          reason: 'retries_exhausted',
          attempts: [attempt(1, 0, 500)],
        });
        request.outcome = 500;
      },
      /dead after 1 attempts of 13/,
    ],
    [
      'a delivery that is dead for a reason of ours',
      ({ delivery }) => Object.assign(delivery, { status: 'dead', reason: 'worker_lost' }),
      /dead \(worker_lost\)/,
    ],
    [
      'a delivery that was skipped',
      ({ delivery }) => Object.assign(delivery, { status: 'skipped', reason: 'endpoint_disabled' }),
      /skipped \(endpoint_disabled\)/,
    ],
    [
      'a request with a wrong signature',
      ({ request }) => Object.assign(request, { wrong: 'bad' }),
      /request 0, bad/,
    ],
    [
      'a request of an event that nobody published',
      ({ evidence }) => evidence.requests.push(request(1, { event: 'strange' })),
      /nobody published/,
    ],
  ];
  for (const [what, spoil, told] of spoiled) {
    it(`sees ${what}`, () => {
      const run = delivered();
      spoil(run);
      expect(failuresOf(run.evidence).join('\n')).toMatch(told);
    });
  }

  it('lets a fault explain what was under way when it struck', () => {
    const { evidence } = delivered();
    evidence.requests.push(request(1, { at: START + 3000 - 1500 }));
    evidence.strikes.push(strike({}));
    const verdict = judge(evidence);
    expect(verdict.failures).toEqual([]);
    expect(verdict.repeated.get(evidence.strikes[0]!)).toHaveLength(1);
  });

  it.each([
    ['soon', 50],
    ['just before its timeout', 1990],
  ])(
    'takes a request that broke off %s with its process for no attempt that timed out later',
    (_, lastedMs) => {
      const { evidence, delivery, request: answered } = delivered();
      const timedOut = {
        ...attempt(1, 0, 0),
        started_at: new Date(START + 8990).toISOString(),
        duration_ms: 2000,
        status_code: null,
        error: 'timeout',
        response: null,
      };
      delivery.attempts = [timedOut, attempt(2, answered.no, 200)];
      delivery.attempt_count = 2;
      answered.at = START + 12_000;
      const broken = request(-2, { at: START + 500, outcome: 'none', endedAt: START + 500 + lastedMs });
      const hung = request(-1, { at: START + 9000, outcome: 'none', endedAt: START + 11_000 });
      evidence.requests.unshift(broken, hung);
      evidence.strikes.push(strike({ startedAt: START + 500 + lastedMs, endedAt: START + 3000 }));
      expect(failuresOf(evidence)).toEqual([]);
    },
  );

  it('sees a fault that repeats more than was under way', () => {
    const { evidence } = delivered();
    for (let no = 1; no <= 41; no++) evidence.requests.push(request(no, { at: START + 1500 }));
    evidence.strikes.push(strike({ repeats: { beforeMs: 0, afterMs: 0, atOnce: true } }));
    expect(failuresOf(evidence)).toEqual([
      expect.stringMatching(/^1 more requests .* than the 40 under way/),
    ]);
  });

  it('lays what one fault has no room for to another that may have repeated it as well', () => {
    const { evidence } = delivered();
    for (let no = 1; no <= 41; no++) evidence.requests.push(request(no, { at: START + 1500 }));
    const repeats = { beforeMs: 0, afterMs: 0, atOnce: true } as const;
    const [sooner, later] = [strike({ repeats }), strike({ repeats })];
    evidence.strikes.push(sooner, later);
    const { failures, repeated } = judge(evidence);
    expect(failures).toEqual([]);
    expect([repeated.get(later)?.length, repeated.get(sooner)?.length]).toEqual([40, 1]);
  });

  it('places those first that only one fault may have repeated', () => {
    const { evidence } = delivered();
    const repeats = { beforeMs: 0, afterMs: 0, atOnce: true } as const;
    const [sooner, later] = [strike({ repeats }), strike({ repeats, endedAt: START + 60_000 })];
    for (let no = 1; no <= 41; no++) {
      evidence.requests.push(request(no, { at: no <= 40 ? START + 1500 : sooner.endedAt + 1000 }));
    }
    evidence.strikes.push(sooner, later);
    expect(judge(evidence).failures).toEqual([]);
  });

  it('counts as forgotten what a killed Redis had just taken, where the mode allows it', () => {
    const { evidence } = delivered();
    evidence.stored.set('one', undefined);
    evidence.requests.length = 0;
    evidence.strikes.push(strike({ fault: 'Redis killed', losesRedis: true }));
    expect(judge(evidence).failures).toEqual([]);
    expect(judge(evidence).lost.size).toBe(1);
    expect(failuresOf({ ...evidence, mayForget: false })).toEqual([expect.stringMatching(/does not exist/)]);
  });

  it('sees a gap, and a repeat, in the sequence of a correlation', () => {
    for (const numbers of [
      [1, 3],
      [1, 1],
      [2, 3],
    ]) {
      const { evidence, delivery } = delivered();
      evidence.events = numbers.map((sequence, i) => {
        const own = event(`n${i}`, { input: { type: 'to.good', correlation_id: 'c' } });
        own.answer!.sequence = sequence;
        evidence.stored.set(`n${i}`, [{ ...delivery, attempts: [attempt(1, i, 200)] }]);
        return own;
      });
      evidence.requests = numbers.map((_, no) => request(no, { event: `n${no}` }));
      expect(failuresOf(evidence)).toEqual([expect.stringMatching(/sequence numbers of c/)]);
    }
  });

  it('sees events that overtook others', () => {
    const { evidence, delivery } = delivered();
    evidence.events = ['a', 'b'].map((id) => event(id, { inTurn: 'to.good' }));
    evidence.requests = [request(0, { event: 'b' }), request(1, { event: 'a' })];
    evidence.stored.set('a', [{ ...delivery, attempts: [attempt(1, 1, 200)] }]);
    evidence.stored.set('b', [{ ...delivery, attempts: [attempt(1, 0, 200)] }]);
    expect(failuresOf(evidence)).toEqual([expect.stringMatching(/came before a/)]);
  });
});
