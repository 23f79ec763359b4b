/**
 * Names of spans and attributes, by OpenTelemetry's semantic conventions 1.45.0 ("Messaging spans", "HTTP spans", "Recording
 * errors"); conventions.test.ts compares them with the published package. What the conventions have no name for begins with
 * `sealpost.`.
 */
export const CONVENTIONS_VERSION = '1.45.0';

export const SPAN = {
  /** API, SERVER: a request. Its name ends with the route: `{http.request.method} {http.route}`. */
  request: (method: string, route: string) => `${method} ${route}`,
  /** API, PRODUCER: one publish, or one batch: `{messaging.operation.name} {messaging.destination.name}`. */
  publish: 'publish events',
  /** Worker, CLIENT: one attempt: `{http.request.method} {target}`, where all targets are webhooks. */
  attempt: 'POST webhook',
  /** Worker, INTERNAL: a delivery ended without an attempt. */
  end: 'end delivery',
} as const;

export const ATTRIBUTE = {
  httpRequestMethod: 'http.request.method',
  httpRequestResendCount: 'http.request.resend_count',
  httpResponseStatusCode: 'http.response.status_code',
  httpRoute: 'http.route',
  urlScheme: 'url.scheme',
  urlPath: 'url.path',
  serverAddress: 'server.address',
  serverPort: 'server.port',
  errorType: 'error.type',
  messagingSystem: 'messaging.system',
  messagingOperationName: 'messaging.operation.name',
  messagingOperationType: 'messaging.operation.type',
  messagingDestinationName: 'messaging.destination.name',
  messagingMessageId: 'messaging.message.id',
  messagingConversationId: 'messaging.message.conversation_id',
  messagingBatchCount: 'messaging.batch.message_count',
  serviceName: 'service.name',
  serviceVersion: 'service.version',
  serviceInstanceId: 'service.instance.id',
} as const;

/** Values that the conventions give. `sealpost` is our own messaging system. */
export const VALUE = {
  system: 'sealpost',
  destination: 'events',
  publish: 'publish',
  deliver: 'deliver',
  send: 'send',
  process: 'process',
  /** Of a method or error that is not known. */
  other: '_OTHER',
} as const;

/** What only Sealpost has. */
export const OWN_ATTRIBUTE = {
  app: 'sealpost.app',
  eventType: 'sealpost.event.type',
  deliveries: 'sealpost.deliveries',
  delivery: 'sealpost.delivery.id',
  endpoint: 'sealpost.endpoint.id',
  attempt: 'sealpost.attempt',
  status: 'sealpost.delivery.status',
  reason: 'sealpost.delivery.reason',
  problem: 'sealpost.problem',
  /** Parts of an attempt, seconds. */
  dns: 'sealpost.attempt.dns',
  connect: 'sealpost.attempt.connect',
  tls: 'sealpost.attempt.tls',
  firstByte: 'sealpost.attempt.first_byte',
} as const;
