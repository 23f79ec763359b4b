/** A request that will be sent again. */
export type Retrying = { attempt: number; delayMs: number; code: string; events: number };

export type ClientOptions = {
  /** Of the API: `https://sealpost.example`. */
  url: string;
  /** An API key: the app's own, or an operator's. */
  key: string;
  /** In which app to publish; default `default`. */
  app?: string;
  /** A batch is sent when it has so many events; default 500, at most 1,000. */
  maxBatchEvents?: number;
  /** … or so many bytes; default 512 KiB. The API takes bodies of 1 MiB, unless it is told otherwise. */
  maxBatchBytes?: number;
  /** … or when its first event has waited so long, ms; default 5. */
  lingerMs?: number;
  /** Batches that are under way at a time; default 1, which keeps the order of the events. */
  maxInFlight?: number;
  /** Events that are held at most, sent or not; default 10,000. With more, `publish` waits. */
  maxQueuedEvents?: number;
  /** … and their bytes; default 16 MiB. */
  maxQueuedBytes?: number;
  /** How long a request may take, ms; default 30,000. */
  timeoutMs?: number;
  /** How long a request is tried again before its events fail, ms; default 60,000. */
  retryForMs?: number;
  /** Called before each wait for another try. */
  onRetry?: (retrying: Retrying) => void;
};

export type Settings = Required<Omit<ClientOptions, 'onRetry'>> & Pick<ClientOptions, 'onRetry'>;

const DEFAULTS = {
  app: 'default',
  maxBatchEvents: 500,
  maxBatchBytes: 512 * 1024,
  lingerMs: 5,
  maxInFlight: 1,
  maxQueuedEvents: 10_000,
  maxQueuedBytes: 16 * 1024 * 1024,
  timeoutMs: 30_000,
  retryForMs: 60_000,
};

/** Least and most. */
const LIMITS: Partial<Record<keyof ClientOptions, [number, number]>> = {
  maxBatchEvents: [1, 1000],
  maxBatchBytes: [1, Number.MAX_SAFE_INTEGER],
  lingerMs: [0, 60_000],
  maxInFlight: [1, 1000],
  maxQueuedEvents: [1, Number.MAX_SAFE_INTEGER],
  maxQueuedBytes: [1, Number.MAX_SAFE_INTEGER],
  timeoutMs: [1, 2 ** 31 - 1],
  retryForMs: [0, 2 ** 31 - 1],
};

/** @throws TypeError that names the option which is missing or cannot be */
export function readOptions(options: ClientOptions): Settings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const settings = { ...DEFAULTS, ...Object.fromEntries(given) } as Settings;
  if (!URL.canParse(settings.url) || !/^https?:$/.test(new URL(settings.url).protocol)) {
    throw new TypeError('url must be the http: or https: URL of a Sealpost API');
  }
  for (const name of ['key', 'app'] as const) {
    if (typeof settings[name] !== 'string' || settings[name] === '')
      throw new TypeError(`${name} is missing`);
  }
  for (const [name, [least, most]] of Object.entries(LIMITS)) {
    const value = settings[name as keyof typeof DEFAULTS];
    if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) continue;
    throw new TypeError(`${name} must be a whole number from ${least} to ${most}`);
  }
  return settings;
}
