"""Signed heads outside the store: whoever has the store, and even the sealing key, cannot rewrite
the trail unseen; openssl, which this project did not write, accepts the signatures.
"""

import base64
import shutil
import subprocess
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ingest import StoreError, open_workers
from stream.cli import review_page
from stream.cli.page_server import Page
from stream.config import AuditSettings, Config
from stream.review import SlideLibrary, Trail, check_store
from stream.review.audit_trail import REVIEWS_FILE
from stream.review.signed_heads import head_sinks
from stream.sinks import Relay
from tests.stores import filled
from tests.stream.review.test_audit_trail import SLIDE, altered, writes


def write_key(path, made):
    key = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key)
    path.chmod(0o600)
    public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


@pytest.fixture
def audit(tmp_path):
    key = write_key(tmp_path / "head.pem", Ed25519PrivateKey.generate())
    return AuditSettings(heads_to=(str(tmp_path / "heads"),), key_file=key)


def written(store, audit, count=4):
    """A trail whose heads have gone out, as `serve` does it."""
    with closing(Trail(store)) as trail:
        for number in range(count):
            writes(trail, count=1, slide_id=f"{number:020x}")
            for sink in head_sinks(audit, trail):
                with Relay(trail.outbox, sink) as relay:
                    assert relay.drain(20) == 0
        return trail.store_id


def check(store, audit, **changed):
    """As another machine does it, which has the public key alone."""
    public = audit.key_file.with_suffix(".pub")
    shown = AuditSettings(**{"heads_to": audit.heads_to, "public_key_file": public, **changed})
    with SlideLibrary(store, Config(audit=shown)) as library:
        return check_store(library)


def test_each_batch_leaves_a_head_that_the_trail_fits(tmp_path, audit):
    written(tmp_path / "store", audit)
    found = check(tmp_path / "store", audit)
    assert (found.entries, found.heads, found.signed_heads) == (4, 4, 4)


def test_a_trail_that_was_cut_and_sealed_anew_shows(tmp_path, audit):
    """The chain of what is left is whole, and there is no other head."""
    store = tmp_path / "store"
    written(store, audit)
    altered(store, ("DELETE FROM trail WHERE number = 4",))
    with SlideLibrary(store, Config()) as library:
        assert check_store(library).entries == 3
    with pytest.raises(StoreError, match="cut: it had an entry 4"):
        check(store, audit)


def test_a_trail_written_anew_from_some_entry_on_shows(tmp_path, audit):
    store = tmp_path / "store"
    written(store, audit)
    altered(store, ("DELETE FROM trail WHERE number > 2",))
    with closing(Trail(store)) as trail:
        writes(trail, count=3, slide_id=SLIDE)
        assert trail.verify() == 5
    with pytest.raises(StoreError, match="written anew: entry 3"):
        check(store, audit)


def test_another_trail_in_its_place_shows(tmp_path, audit):
    store = tmp_path / "store"
    written(store, audit)
    for path in store.glob(f"{REVIEWS_FILE}*"):
        path.unlink()
    with closing(Trail(store)) as trail:
        writes(trail)
    with pytest.raises(StoreError, match="another audit trail was here before"):
        check(store, audit)


def forged(text):
    """A head whose entry was exchanged; one that another key has signed; one that is cut off."""
    said, signature = text.split(b"\n")[:2]
    other = Ed25519PrivateKey.generate().sign(said)
    yield said.replace(b'"number": 2', b'"number": 3') + b"\n" + signature
    yield said + b"\n" + base64.b64encode(other)
    yield said
    yield b""


@pytest.mark.parametrize("which", range(4))
def test_a_forged_head_shows(tmp_path, audit, which):
    store = tmp_path / "store"
    store_id = written(store, audit)
    path = tmp_path / "heads" / store_id / "000000002.head"
    path.write_bytes(list(forged(path.read_bytes()))[which])
    with pytest.raises(StoreError, match=r"000000002\.head: this key has not signed"):
        check(store, audit)


def test_the_heads_of_other_stores_do_no_harm(tmp_path, audit):
    written(tmp_path / "other", audit, count=6)
    written(tmp_path / "store", audit, count=2)
    assert check(tmp_path / "store", audit).signed_heads == 2


def test_openssl_accepts_a_head(tmp_path, audit):
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    store_id = written(tmp_path / "store", audit, count=1)
    kept = tmp_path / "heads" / store_id / "000000001.head"
    said, signature = kept.read_bytes().splitlines()
    (tmp_path / "said").write_bytes(said)
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "head.pub"]
    words += ["-rawin", "-in", tmp_path / "said", "-sigfile", tmp_path / "signature"]
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0
    (tmp_path / "said").write_bytes(said.replace(b"1", b"2", 1))
    assert subprocess.run(words, check=False, capture_output=True).returncode != 0


def test_a_place_that_is_away_gets_the_head_when_it_is_back(tmp_path, audit):
    blocked = tmp_path / "heads"
    blocked.write_text("a file where the folder is to be")
    store = tmp_path / "store"
    with closing(Trail(store)) as trail:
        (sink,) = head_sinks(audit, trail)
        writes(trail)
        with Relay(trail.outbox, sink) as relay:
            assert relay.drain(0.3) == 4 and "cannot be written" in str(relay.trouble)
        blocked.unlink()
        with Relay(trail.outbox, sink) as relay:
            assert relay.drain(20) == 0
    assert check(store, audit).signed_heads == 1


@pytest.mark.parametrize("fault", ["mode", "kind", "none", "key in store", "heads in the store"])
def test_a_key_that_does_not_serve_is_refused_in_a_line(tmp_path, audit, fault):
    key = audit.key_file
    store = tmp_path / "store"
    changed = {}
    if fault == "mode":
        key.chmod(0o644)
    elif fault == "kind":
        write_key(key, X25519PrivateKey.generate())
    elif fault == "none":
        key.unlink()
    elif fault == "key in store":
        store.mkdir()
        changed = {"key_file": shutil.copy(key, store / "head.pem")}
    else:
        changed = {"heads_to": (str(store / "heads"),)}
    with closing(Trail(store)) as trail, pytest.raises(StoreError) as refused:
        head_sinks(audit.model_copy(update=changed), trail)
    assert refused.value.hint


def test_the_page_sends_them(tmp_path, audit, monkeypatch):
    monkeypatch.setattr(review_page, "open_workers", lambda _: open_workers(0))
    made = filled(tmp_path / "store", cells=2)
    made.close()
    with closing(Trail(tmp_path / "store")) as trail:
        writes(trail)
    relays = []
    page = Page(tmp_path / "store", sinks=["none"])
    with review_page._opened(page, Config(audit=audit), relays):
        assert [relay.drain(20) for relay in relays] == [0]
    assert check(tmp_path / "store", audit).signed_heads == 1


def test_heads_without_a_key_are_no_configuration():
    with pytest.raises(ValueError, match="needs key_file"):
        AuditSettings(heads_to=("heads",))
