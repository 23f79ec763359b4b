"""Verifies Sealpost's deliveries with the standard library alone. No function here raises, whatever a request holds."""

import base64
import hashlib
import hmac
import re
import time
from typing import Mapping, Optional


def verify_standard(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    tolerance_seconds: float = 300,
    now: Optional[float] = None,
) -> bool:
    """Whether a delivery is genuine and fresh by Standard Webhooks (https://www.standardwebhooks.com).

    The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` come in every wire profile. `secret` is as
    Sealpost shows it: `whsec_…`, or any other text. `headers` must find names in any case, as those of http.server,
    Flask and Django do. `body` is the bytes as they arrived, before anything parsed them. `now` is in seconds since 1970.
    """
    id, timestamp, signatures = (headers.get(f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    if id is None or timestamp is None or signatures is None:
        return False
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance_seconds:
        return False
    signed = _bytes(f"{id}.{timestamp}.") + body
    expected = "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    # While a secret is being rotated there are two signatures: one of each secret.
    return any(_same(signature, expected) for signature in signatures.split(" "))


def verify_sha256(secret: str, signature: Optional[str], body: bytes) -> bool:
    """Whether a delivery is genuine by a header of the form `sha256=<hex>` over its body, as in X-Flock-Signature.

    Says nothing about when it was sent, so prefer `verify_standard`. The secret's text counts as it stands, `whsec_`
    included.
    """
    if signature is None:
        return False
    return _same(signature, "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest())


def _key(secret: str) -> bytes:
    prefix = "whsec_"
    return base64.b64decode(secret[len(prefix) :]) if secret.startswith(prefix) else secret.encode()


def _same(given: str, expected: str) -> bool:
    """In constant time; as bytes, since compare_digest raises at a text that is not ASCII."""
    return hmac.compare_digest(_bytes(given), expected.encode())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
