import { SHA256_BASE64, SHA256_HEX } from './signature.ts';
import { standard } from './standard.ts';
import type { CustomWireProfile, SignatureScheme, WireProfileData } from './wire-profile.ts';

/** A client's own profile: what it leaves out is as `standard` has it. */
export function customProfile(custom: CustomWireProfile): WireProfileData {
  return {
    ...standard,
    name: 'custom',
    headers: custom.headers ?? {},
    signature: schemeOf(custom.signature),
    ...(custom.user_agent !== undefined && { userAgent: custom.user_agent }),
    ...(custom.envelope === 'payload' && { envelope: 'payload' }),
  };
}

function schemeOf(signature: CustomWireProfile['signature'] = 'sha256-hex'): SignatureScheme {
  if (signature === 'sha256-hex') return SHA256_HEX;
  return signature === 'sha256-base64' ? SHA256_BASE64 : signature;
}
