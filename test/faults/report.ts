import { FAULTS } from './faults.ts';
import type { Failure, Verdict } from './judge.ts';
import type { SeenRequest } from './receivers.ts';
import { describeStrike, type Strike } from './strikes.ts';
import type { World } from './world.ts';

export type Row = {
  fault: string;
  struck: number;
  lost: number;
  repeated: number;
  /** Of a delivery to a good receiver that was accepted while the fault lasted, from 202 to arrival; undefined: none. */
  longestMs: number | undefined;
};

/** What each fault did; faults that cannot be had here say why in place of figures. */
export function rowsOf(
  strikes: Strike[],
  verdict: Verdict,
  delays: { ackedAt: number; tookMs: number }[],
): Row[] {
  return FAULTS.map(({ name }) => {
    const own = strikes.filter(({ fault }) => fault === name);
    const during = delays.filter(({ ackedAt }) =>
      own.some(({ startedAt, endedAt }) => ackedAt >= startedAt && ackedAt <= endedAt),
    );
    const count = <T>(map: Map<Strike, T[]>) =>
      own.reduce((sum, strike) => sum + (map.get(strike)?.length ?? 0), 0);
    return {
      fault: name,
      struck: own.length,
      lost: count(verdict.lost),
      repeated: count(verdict.repeated),
      longestMs: during.length > 0 ? Math.max(...during.map(({ tookMs }) => tookMs)) : undefined,
    };
  });
}

export function table(rows: Row[], skipped: [string, string][]): string {
  const why = new Map(skipped);
  const lines = [['fault', 'struck', 'lost', 'duplicated', 'longest delay']];
  for (const { fault, struck, lost, repeated, longestMs } of rows) {
    const reason = why.get(fault);
    if (reason) lines.push([fault, `not here: ${reason}`]);
    else {
      const seconds = longestMs === undefined ? '–' : `${(longestMs / 1000).toFixed(1)} s`;
      lines.push([fault, ...[struck, lost, repeated].map(String), seconds]);
    }
  }
  const width = Math.max(...lines.map(([name]) => name!.length));
  return lines
    .map(
      ([name, ...cells]) => `  ${name!.padEnd(width)}  ${cells.map((cell) => cell.padStart(10)).join('  ')}`,
    )
    .join('\n');
}

/** Everything that is known about a failure. */
export function storyOf(failure: Failure, world: World, strikes: Strike[], since: number): string {
  const { what, event, delivery, requests = [] } = failure;
  const seconds = (at: number | undefined) =>
    at === undefined ? '–' : `${((at - since) / 1000).toFixed(2)} s`;
  const lines = [what];
  if (event) {
    const { input, tries, sentAt, ackedAt, answer } = event;
    const { payload, ...rest } = input;
    lines.push(
      `event ${answer?.id} sent ${seconds(sentAt)}, 202 ${seconds(ackedAt)}, ${tries} tries: ${JSON.stringify(rest)}`,
    );
  }
  if (delivery) {
    const { attempts, ...rest } = delivery;
    lines.push(`delivery ${JSON.stringify(rest)}`);
    for (const { number, started_at, duration_ms, status_code, error, response } of attempts) {
      const no = response?.headers['x-request'] ?? '–';
      lines.push(
        `  attempt ${number} ${seconds(Date.parse(started_at))} for ${duration_ms} ms: ${status_code ?? error}, request ${no}`,
      );
    }
  }
  for (const request of requests) lines.push(`  ${describeRequest(request, seconds)}`);
  const from = Math.min(...requests.map(({ at }) => at), event?.sentAt ?? Number.POSITIVE_INFINITY) - 30_000;
  const to = Math.max(...requests.map(({ at }) => at), event?.ackedAt ?? Number.NEGATIVE_INFINITY) + 5000;
  for (const strike of strikes)
    if (strike.endedAt >= from && strike.startedAt <= to)
      lines.push(`  fault ${describeStrike(strike, since)}`);
  const id = delivery?.id ?? event?.answer?.id;
  if (id) lines.push(...logsAbout(id, world));
  return lines.join('\n    ');
}

/** What no API should answer, and what its log has of that. */
export function storyOfAnswer(answer: string, world: World): string {
  const [instance] = /(?<=urn:uuid:)[\w-]+/.exec(answer) ?? [];
  return [`an API answered ${answer}`, ...(instance ? logsAbout(instance, world) : [])].join('\n    ');
}

function describeRequest(request: SeenRequest, seconds: (at: number | undefined) => string): string {
  const { no, at, endedAt, outcome, reused, receiver } = request;
  return `request ${no} to ${receiver} ${seconds(at)}–${seconds(endedAt)}: ${outcome}${reused ? '' : ', fresh connection'}`;
}

function logsAbout(id: string, { members }: World): string[] {
  return members.flatMap(({ name, processes }) =>
    processes.flatMap(({ pid, output }) =>
      output
        .split('\n')
        .filter((line) => line.includes(id))
        .map((line) => `  ${name} (${pid}) ${line.slice(0, 800)}`),
    ),
  );
}
