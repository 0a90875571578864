"""Reads values of the form base64(iv):base64(tag):base64(ciphertext), AES-256-GCM, under the new key or the old one.

For the time of a rotation: keys are [new, old]. What opens under neither raises; no placeholder ever stands in for a value.
Needs the package `cryptography`.
"""
import base64
import binascii
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Unreadable(Exception):
    """The value opens under neither key. It is not repeated."""


def _bytes_of(text, length=None):
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("the value is no ciphertext") from None
    if base64.b64encode(found).decode() != text or (length is not None and len(found) != length):
        raise Unreadable("the value is no ciphertext")
    return found


def decrypt(stored, keys):
    """`keys`: 64 hex digits each, the new key first. NULL stays None; what was never encrypted is the caller's to know."""
    if stored is None:
        return None
    parts = stored.split(":")
    if len(parts) != 3:
        raise Unreadable("the value is no ciphertext")
    iv, tag, ciphertext = _bytes_of(parts[0], 16), _bytes_of(parts[1], 16), _bytes_of(parts[2])
    for key in keys:
        try:
            return AESGCM(bytes.fromhex(key)).decrypt(iv, ciphertext + tag, None).decode()
        except (InvalidTag, UnicodeDecodeError):
            continue  # not this key, or damaged: the next one says
    raise Unreadable("the value opens under neither key")


def search_hashes(normalized, keys):
    """Keyed hashes to search by, one for each key: rows that are not rotated yet have the old one."""
    hashes = []
    for key in keys:
        subkey = hmac.new(bytes.fromhex(key), b"patient-dedup-v1", hashlib.sha256).digest()
        hashes.append(hmac.new(subkey, normalized.encode(), hashlib.sha256).hexdigest())
    return hashes
