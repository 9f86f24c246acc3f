"""Heads of an audit trail outside the store, signed with an Ed25519 key (RFC 8032) that the store
does not have: who rewrites the trail behind the program's back cannot make them anew.

A head is a file of two lines: what is signed, as JSON, and its signature in base64. Which entries
get one: the last of each batch that the trail's relay sends, so within seconds of an act; a place
that is away gets the later ones, when it is back.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from ingest import StoreError
from stream.config import AuditSettings
from stream.events import to_line
from stream.review.audit_trail import Trail, digest_of
from stream.sinks import SinkError
from stream.store import OTHERS, KeptObjects, OutboxRecord

_MAKE_KEY = "make one: openssl genpkey -algorithm ed25519 -out KEY.pem; keep it outside the store"


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The last entry of the trail `store` at a time; `path` is where the store lay."""

    store: str
    path: str
    number: int
    digest: str
    at: str

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """The head as it is kept."""
        said = json.dumps(asdict(self)).encode()
        return said + b"\n" + base64.b64encode(key.sign(said)) + b"\n"


def read_head(content: bytes, key: Ed25519PublicKey) -> SignedHead | None:
    """A head that is kept; None where the key has not signed it."""
    said, _, signature = content.strip().partition(b"\n")
    try:
        key.verify(base64.b64decode(signature, validate=True), said)
        return SignedHead(**json.loads(said))
    except (InvalidSignature, binascii.Error, ValueError, TypeError):
        return None


class HeadSink:
    """Keeps a signed head of the last entry of each batch in one place."""

    def __init__(self, place: str, key: Ed25519PrivateKey, trail: Trail):
        self.name = f"heads:{place}"
        self._kept = KeptObjects(place)
        self._key = key
        self._store_id = trail.store_id
        self._path = str(trail.path.parent.resolve())

    def place(self) -> None:
        """Heads that are lost are not written anew."""

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        """Signs the last entry.

        Raises:
            SinkError: the place takes nothing now.
        """
        entries = [record.event for record in batch if record.event.data.get("store")]
        if not entries:
            return
        last = entries[-1]
        number = last.data["number"]
        at = datetime.now(UTC).isoformat()
        head = SignedHead(self._store_id, self._path, number, digest_of(to_line(last)), at)
        try:
            self._kept.put(f"{self._store_id}/{number:09d}.head", head.signed(self._key))
        except StoreError as error:
            raise SinkError(error.what, error.hint) from error

    def close(self) -> None:
        """Nothing to give back."""


def head_sinks(settings: AuditSettings, trail: Trail) -> list[HeadSink]:
    """The places that get the heads of a trail.

    Raises:
        StoreError: the key cannot be used, or key or place lie in the store.
    """
    if not settings.heads_to or settings.key_file is None:
        return []
    store = trail.path.parent.resolve()
    for place in settings.heads_to:
        if not place.startswith("s3://") and _is_below(Path(place), store):
            raise StoreError(f"{place}: lies in the store", "set audit.heads_to to another folder")
    key = private_key(settings.key_file, store)
    return [HeadSink(place, key, trail) for place in settings.heads_to]


def check_signed_heads(settings: AuditSettings, trail: Trail) -> list[tuple[int, str]]:
    """Number and digest of the heads that a trail had, of all places.

    Raises:
        StoreError: a head was altered, or another trail was in this place.
    """
    if not settings.heads_to:
        return []
    key = public_key(settings)
    path = str(trail.path.parent.resolve())
    found = []
    for place in settings.heads_to:
        kept = KeptObjects(place)
        for name in kept.names():
            head = read_head(kept.read(name), key)
            if head is None:
                hint = "is audit.public_key_file that of audit.key_file? Else it was altered"
                raise StoreError(f"{place}/{name}: this key has not signed this head", hint)
            if head.store == trail.store_id:
                found.append((head.number, head.digest))
            elif head.path == path:
                hint = "restore the store from its backup; where you began anew, put it away"
                raise StoreError(
                    f"{trail.path}: another audit trail was here before, of {place}/{name}", hint
                )
    return found


def private_key(path: Path, store: Path) -> Ed25519PrivateKey:
    """The key that signs.

    Raises:
        StoreError: it is none, lies in the store, or others may read it.
    """
    file = path.expanduser()
    if _is_below(file, store):
        raise StoreError(f"{path}: lies in the store", "keep audit.key_file elsewhere")
    try:
        if file.stat().st_mode & OTHERS:
            raise StoreError(f"{path}: others may read it", f"chmod 600 {path}")
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path}: no key: {error}", _MAKE_KEY) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"{path}: no Ed25519 key", _MAKE_KEY)
    return key


def public_key(settings: AuditSettings) -> Ed25519PublicKey:
    """The key that checks: the public one that is named, else that of the one that signs.

    Raises:
        StoreError: it is none.
    """
    path = settings.public_key_file or settings.key_file or Path()
    try:
        text = path.expanduser().read_bytes()
        if settings.public_key_file:
            key = load_pem_public_key(text)
        else:
            key = load_pem_private_key(text, None).public_key()
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path}: no key: {error}", _MAKE_KEY) from error
    if not isinstance(key, Ed25519PublicKey):
        raise StoreError(f"{path}: no Ed25519 key", _MAKE_KEY)
    return key


def _is_below(path: Path, folder: Path) -> bool:
    return path.expanduser().resolve().is_relative_to(folder)
