"""Addresses of media that are good for hours and for nobody who was not given them.

A browser's `<video>` sends no token, so the address itself carries the right to fetch it: when it ends, and a signature
of both by the service's secret. One signature stands for everything that a question plays: its clip, its clips side by
side, its frames and its person's path.
"""

from __future__ import annotations

import hashlib
import hmac

SIGNATURE_BYTES = 16
"""128 bits: what is guessed by nobody. Source: RFC 7693, section 2.9: BLAKE2b with a key is a code of its own."""

PERIOD_S = 6 * 3600
"""Links end at multiples of this, so that a page that is loaded again finds its clips in the browser's cache."""


def expiry_s(now_us: int) -> int:
    """When a link made now ends, in seconds since 1970 UTC: 6 to 12 hours from now.

    >>> expiry_s(0) == expiry_s(PERIOD_S * 1_000_000 - 1) == 2 * PERIOD_S
    True
    """
    return (now_us // (PERIOD_S * 1_000_000) + 2) * PERIOD_S


def signature(secret: bytes, stem: str, expires_s: int) -> str:
    """The signature, 32 hexadecimal digits, of everything whose address begins with `stem`, until then.

    `stem` is `<task id>/<slot>`; neither holds the sign that parts it from the time.
    """
    # Not `hmac.digest`: each of its calls lets other threads go first, and a task of 20 clips signs 20 times.
    text = f"{stem}|{expires_s}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, key=secret, digest_size=SIGNATURE_BYTES).hexdigest()


def link_query(secret: bytes, stem: str, *, now_us: int) -> str:
    """What stands behind the path of every link of this stem.

    >>> link_query(b"secret", "t/0", now_us=0)
    '?e=43200&s=...'
    """
    expires_s = expiry_s(now_us)
    return f"?e={expires_s}&s={signature(secret, stem, expires_s)}"


def is_good_link(secret: bytes, stem: str, *, expires_s: int, signed: str, now_us: int) -> bool:
    """Whether the signature is ours, compared in constant time, and the link has not ended."""
    if now_us >= expires_s * 1_000_000:
        return False
    return hmac.compare_digest(signature(secret, stem, expires_s).encode(), signed.encode("utf-8", "surrogatepass"))
