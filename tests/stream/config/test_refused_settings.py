"""What a configuration may not say, and how each of it is refused, whole; beside it what may just
be said.
"""

import pytest

from stream.config import ConfigError, is_loopback, is_safe_address, load_config
from stream.config.identity import group_names
from stream.config.kafka import is_address
from tests.approved import approved

SASL = 'security_protocol = "SASL_SSL"\n'
TOKEN = 'provider = "client-credentials"\nendpoint = "https://login.lab.example/t"\n'
PLAIN = TOKEN.replace("https", "http")
OIDC = 'issuer = "https://id"\nclient_id = "c"\naddress = "https://lab"\nroles = {a = "admin"}\n'
CLASS = "background = 0.001\nat_least = 3\n"
SAID = {
    "nothing": "",
    "no TOML": "a",
    "no section": "[none]\na = 1",
    "no setting": "[kafka]\nnone = 1",
    "of another type": "[kafka]\nanswer_s = 'long'",
    "not a table": "kafka = 1",
    "heads without a key": '[audit]\nheads_to = ["/h"]',
    "heads with a public key": '[audit]\nheads_to = ["/h"]\npublic_key_file = "k"',
    "heads with a key": '[audit]\nheads_to = ["/h"]\nkey_file = "k"',
    "one label": f'[[alerts.excess]]\nlabel = "blast"\n{CLASS}',
    "labels": f'[[alerts.excess]]\nlabels = ["blast"]\n{CLASS}',
    "label and labels": f'[[alerts.excess]]\nlabel = "blast"\nlabels = ["x"]\n{CLASS}',
    "neither": f"[[alerts.excess]]\n{CLASS}",
    "a pattern without a group": '[identity]\nfile_patterns = ["S[0-9]+"]',
    "a pattern of another group": '[identity]\nbarcode_pattern = "(?P<none>S[0-9]+)"',
    "a pattern that is none": '[identity]\nbarcode_pattern = "(?P<accession>"',
    "a pattern of a group": '[identity]\nbarcode_pattern = "(?P<accession>S[0-9]+)"',
    "no protocol": '[kafka.security]\nsecurity_protocol = "TLS"',
    "no key of Kafka": '[kafka.security]\nb = "1"\na = "1"',
    "no mechanism": f"[kafka.security]\n{SASL}",
    "no account": f'[kafka.security]\n{SASL}sasl_mechanism = "SCRAM-SHA-256"',
    "no password": f'[kafka.security]\n{SASL}sasl_mechanism = "PLAIN"\nsasl_plain_username = "u"',
    "an account": f'[kafka.security]\n{SASL}sasl_mechanism = "SCRAM-SHA-512"\n'
    'sasl_plain_username = "u"\nsasl_plain_password = "p"',
    "no token": f'[kafka.security]\n{SASL}sasl_mechanism = "OAUTHBEARER"',
    "a token without SASL": '[kafka.token]\nprovider = "ours"',
    "a token": f'[kafka.security]\n{SASL}sasl_mechanism = "OAUTHBEARER"\n'
    '[kafka.token]\nprovider = "ours"',
    "a client without a secret": f'[kafka.token]\n{TOKEN}client_id = "c"',
    "a client without an id": f'[kafka.token]\n{TOKEN}client_secret = "s"',
    "an endpoint without TLS": f'[kafka.token]\n{PLAIN}client_id = "c"\nclient_secret = "s"\n',
    "no servers": '[kafka]\nbootstrap = " , "',
    "servers": '[kafka]\nbootstrap = "a:1 , b:2"',
    "wrong servers": '[kafka]\nbootstrap = "a, b:2, c:x"',
    "a codec": '[kafka]\ncompression = "gzip"',
    "no codec": '[kafka]\ncompression = "rar"',
    "listening to all": '[lis]\nlisten = "0.0.0.0:1"',
    "listening here": '[lis]\nlisten = "127.0.0.9:1"\nresults_to = "[::1]:1"',
    "listening without a host": '[lis]\nlisten = ":1"\nresults_to = "localhost:1"',
    "results to another": '[lis]\nresults_to = "lab.example:1"',
    "results to another, insecure": '[lis]\nresults_to = "lab.example:1"\ninsecure = true',
    "results to another by TLS": '[lis]\nresults_to = "lab.example:1"\nresults_ca = "ca"',
    "a name that begins like this machine": '[lis]\nresults_to = "127.lab.example:1"',
    "FHIR without TLS": '[lis]\nfhir_to = "http://lab.example/fhir"',
    "FHIR with TLS": '[lis]\nfhir_to = "https://lab.example/fhir"',
    "FHIR here": '[lis]\nfhir_to = "http://[::1]/fhir"\nstow_to = "http://127.0.0.1:80/d"',
    "STOW without TLS": '[lis]\nstow_to = "http://lab.example:80/x"',
    "a provider": f"[review.oidc]\n{OIDC}",
    "a provider alone": '[review.oidc]\nissuer = "https://id"',
    "a provider without TLS": f"[review.oidc]\n{OIDC}".replace("https://id", "http://id"),
    "a page with a question": f"[review.oidc]\n{OIDC}".replace("https://lab", "https://lab?a"),
    "no openid": f'[review.oidc]\n{OIDC}scopes = ["profile"]',
    "mounts that are no whole paths": '[reading.mounts]\n"a" = "/b"\n"/c" = "d"',
    "a font that is not there": '[review]\nfonts = ["/none.ttf"]',
    "two classes of one key": '[review.keys]\nblast = "b"\nbasophil = "b"',
    "two keys": '[review.keys]\nblast = "b"\nbasophil = "a"',
}


def test_every_refusal(tmp_path):
    path, lines = tmp_path / "lab.toml", []
    path.touch(mode=0o600)
    for name, text in SAID.items():
        path.write_text(text)
        try:
            found = load_config(path)
        except ConfigError as error:
            lines.append(f"{name}: {error.what} -> {error.hint}")
        else:
            differs = found.model_dump_json(exclude_defaults=True)
            lines.append(f"{name}: {differs}")
    path.unlink()
    for given in ({}, {"reading": {"tile_px": 5, "workers": None}}, {"reading": {"tile_px": 512}}):
        try:
            lines.append(f"{given}: {load_config(None, **given).reading.tile_px}")
        except ConfigError as error:
            lines.append(f"{given}: {error.what} -> {error.hint}")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    lines.append(f"{refused.value.what} -> {refused.value.hint}")
    approved(__file__, "refused", "\n".join(lines), folder=tmp_path)


@pytest.mark.parametrize(
    ("address", "is_safe"),
    [
        ("https://lab.example", True),
        ("https://lab.example:8443/a", True),
        ("http://localhost:80/x", True),
        ("http://127.0.0.9", True),
        ("http://[::1]:80", True),
        ("http://10.0.0.1", False),
        ("ftp://localhost", False),
        ("https://", False),
        ("https:///a", False),
        ("https://lab.example/?a", False),
        ("https://lab.example/#a", False),
        ("https://u@lab.example", False),
        ("https://:p@lab.example", False),
        ("https://[::1", False),
        ("lab.example", False),
        ("", False),
    ],
)
def test_an_address_that_is_safe(address, is_safe):
    assert is_safe_address(address) is is_safe


def test_names_of_this_machine_servers_and_groups():
    for host, is_own in (("localhost", True), ("127.9.9.9", True), ("::1", True), ("lab", False)):
        assert is_loopback(host) is is_own
    assert not is_loopback("10.0.0.1") and not is_loopback("127.lab.example")
    assert group_names("(?P<a>x)(?P<b>y)(z)") == ["a", "b"]
    servers = ("a:1", "[::1]:9092", "a.b-c:65535")
    assert [is_address(one) for one in servers] == [True, True, True]
    assert not any(is_address(one) for one in ("a", ":1", "a:", "a:x", "a b:1"))
