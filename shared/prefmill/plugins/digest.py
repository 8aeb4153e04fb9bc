"""Stable hashes of JSON-like values: what seeds, lanes and request digests are made of."""

import hashlib
import json
from typing import Any, Final

_JSON: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> bytes:
    """The value as JSON with sorted keys and no spaces, UTF-8; lone surrogates survive."""
    return _JSON.encode(value).encode("utf-8", "surrogatepass")


def digest_of(*values: Any) -> bytes:
    """SHA-256, 32 bytes, of the values in order."""
    return hashlib.sha256(canonical(values)).digest()


def seed_of(*values: Any) -> int:
    """A non-negative seed of 63 bits from the values."""
    return int.from_bytes(digest_of(*values)[:8], "big") >> 1
