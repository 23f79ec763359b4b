import type { Result } from '../harness/report.ts';

export type Options = {
  /** The Sealpost that is measured. */
  root: string;
  short: boolean;
  /** How long to measure, where a scenario leaves that open. */
  seconds: number | undefined;
};

export type Scenario = (options: Options) => Promise<Result>;
