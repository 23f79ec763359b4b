import { type DeliveryStatus, REASONS, type Reason, reasonNumber, STATUSES } from '@sealpost/core';

/**
 * A delivery's record: 63 bytes, big-endian, so that 128 of them share one listpack-encoded hash, which Redis
 * keeps for values up to 64 bytes (docs/decisions/001). Scripts read and write the same layout with `struct`.
 *
 * ```
 *  0 u8  status        1 u8  flags          2 u16 generation   4 u16 attempts
 *  6 u16 jobBase       8 u16 retryBase     10 u48 event       16 u32 app
 * 20 u32 endpoint     24 u48 createdAt     30 u48 dueAt       36 u16 statusCode
 * 38 u8  reason       39 u32 key id        43 20 bytes seal
 * ```
 */
export type DeliveryRecord = {
  status: DeliveryStatus;
  /** Bit set of FLAG. */
  flags: number;
  /** Which job carries it; an older one does nothing. */
  generation: number;
  /** Attempts settled, over all generations. */
  attempts: number;
  /** `attempts` when this generation began: what BullMQ's own counter is compared with. */
  jobBase: number;
  /** `attempts` when the retry budget began: at acceptance or at the last retry by hand. */
  retryBase: number;
  /** Number of its event. */
  event: number;
  /** Owner number of its app. */
  app: number;
  /** Owner number of its endpoint; 0 for a `webhook_url`. */
  endpoint: number;
  /** ms epoch. */
  createdAt: number;
  /** ms epoch: the next attempt while retrying, the end once ended. */
  dueAt: number;
  /** HTTP status of the last attempt; 0: none. */
  statusCode: number;
  reason: Reason;
  /** 8 hex characters. */
  keyId: string;
  /** 20 bytes. */
  seal: Buffer;
};

const RECORD_BYTES = 63;

/**
 * `wait`: someone waits for the first attempt. `correlated`: has a correlation id. The others say where it is in its
 * lane (lua/lane.lua): `waiting` without a job; `admitted`, for a worker to claim; `holds` its lane's place, since it was
 * claimed (`detached`: its attempt lasts, and has given up its slot; `stuck`: it lasts unusually long) or because an
 * `ordered` lane waits for its retry.
 */
export const FLAG = {
  wait: 1,
  waiting: 2,
  correlated: 4,
  admitted: 8,
  holds: 16,
  detached: 32,
  stuck: 64,
} as const;

export function encodeDelivery(record: DeliveryRecord): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_BYTES);
  bytes[0] = STATUSES.indexOf(record.status);
  bytes[1] = record.flags;
  bytes.writeUInt16BE(record.generation, 2);
  bytes.writeUInt16BE(record.attempts, 4);
  bytes.writeUInt16BE(record.jobBase, 6);
  bytes.writeUInt16BE(record.retryBase, 8);
  bytes.writeUIntBE(record.event, 10, 6);
  bytes.writeUInt32BE(record.app, 16);
  bytes.writeUInt32BE(record.endpoint, 20);
  bytes.writeUIntBE(record.createdAt, 24, 6);
  bytes.writeUIntBE(record.dueAt, 30, 6);
  bytes.writeUInt16BE(record.statusCode, 36);
  bytes[38] = reasonNumber(record.reason);
  bytes.write(record.keyId, 39, 4, 'hex');
  record.seal.copy(bytes, 43, 0, 20);
  return bytes;
}

/** Undefined: these are not the bytes of a record, as after a foreign write. */
export function decodeDelivery(bytes: Buffer): DeliveryRecord | undefined {
  const status = STATUSES[bytes[0] ?? -1];
  const reason = REASONS[bytes[38] ?? -1];
  if (bytes.length !== RECORD_BYTES || status === undefined || reason === undefined) return undefined;
  return {
    status,
    flags: bytes[1]!,
    generation: bytes.readUInt16BE(2),
    attempts: bytes.readUInt16BE(4),
    jobBase: bytes.readUInt16BE(6),
    retryBase: bytes.readUInt16BE(8),
    event: bytes.readUIntBE(10, 6),
    app: bytes.readUInt32BE(16),
    endpoint: bytes.readUInt32BE(20),
    createdAt: bytes.readUIntBE(24, 6),
    dueAt: bytes.readUIntBE(30, 6),
    statusCode: bytes.readUInt16BE(36),
    reason,
    keyId: bytes.toString('hex', 39, 43),
    seal: bytes.subarray(43, 63),
  };
}
