import { aifai } from './aifai.ts';
import { customProfile } from './custom.ts';
import { compileEnvelope, type WriteBody } from './envelope.ts';
import { flagship } from './flagship.ts';
import { flock } from './flock.ts';
import { raw } from './raw.ts';
import { compileSignature, type SignOwn } from './signature.ts';
import { standard } from './standard.ts';
import { taskflow } from './taskflow.ts';
import type {
  CustomWireProfile,
  ProfileHeader,
  WireProfileData,
  WireProfileName,
  WireProfileSetting,
} from './wire-profile.ts';

export { formatTimestamp, type TimestampForm, type WireEvent } from './envelope.ts';
export * from './wire-profile.ts';

/** A profile, ready for use. */
export type WireProfile = WireProfileData & {
  /** Undefined: the payload alone. */
  writeBody: WriteBody | undefined;
  /** Undefined: as `webhook-signature`. */
  signOwn: SignOwn | undefined;
  /** Its own headers: what each tells, and its name as it is sent and in lower case. */
  ownHeaders: readonly { header: ProfileHeader; name: string; lowerCase: string }[];
};

const NAMED: Readonly<Record<WireProfileName, WireProfile>> = {
  standard: compile(standard),
  raw: compile(raw),
  flock: compile(flock),
  taskflow: compile(taskflow),
  aifai: compile(aifai),
  flagship: compile(flagship),
};

const custom = new WeakMap<CustomWireProfile, WireProfile>();

/**
 * The profile that a setting stands for; compiled once for each object.
 * @throws TypeError for a name that this version does not know, as a newer one may have stored it
 */
export function wireProfileOf(setting: WireProfileSetting): WireProfile {
  if (typeof setting === 'string') {
    if (!Object.hasOwn(NAMED, setting)) throw new TypeError(`there is no wire profile ${setting}`);
    return NAMED[setting];
  }
  let profile = custom.get(setting);
  if (profile === undefined) {
    profile = compile(customProfile(setting));
    custom.set(setting, profile);
  }
  return profile;
}

function compile(data: WireProfileData): WireProfile {
  const { envelope, signature, timestamps, headers } = data;
  return {
    ...data,
    writeBody: envelope === 'payload' ? undefined : compileEnvelope(envelope, timestamps),
    signOwn: typeof signature === 'object' ? compileSignature(signature) : undefined,
    ownHeaders: Object.entries(headers).map(([header, name]) => ({
      header: header as ProfileHeader,
      name,
      lowerCase: name.toLowerCase(),
    })),
  };
}
