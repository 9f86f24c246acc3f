"""Against the Node package oidc-provider, which the OpenID Foundation has certified, where
`make oidc-node` has installed it.
"""

import re
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests

from stream.config import OidcSettings
from stream.oauth import OpenIdProvider, SignInError, SignInRequest
from tests.oidc_provider import SECRET, query_of

SCRIPT = Path(__file__).parent / "node" / "provider.mjs"
INDEX = Path(__file__).parents[3] / ".node" / "node_modules" / "oidc-provider" / "lib" / "index.js"
PAGE = "http://127.0.0.1:8765"
pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and INDEX.is_file()), reason="`make oidc-node` was not run"
)


@pytest.fixture(scope="module")
def settings():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["node", SCRIPT, INDEX, str(port), PAGE, SECRET]
    about = {"client_id": "smears", "client_secret": SECRET, "address": PAGE}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout.readline().strip() == "listening"
        issuer = f"http://localhost:{port}"
        yield OidcSettings(issuer=issuer, roles={"adas": "reviewer"}, **about)
        server.kill()


def new_request(letter="a"):
    return SignInRequest(*(letter * 64 for _ in range(3)))


def sent_back(url, name):
    """Where the provider sends a browser back to, whose person signs in and agrees."""
    with requests.Session() as http:
        answer = http.get(url, allow_redirects=False)
        for _ in range(12):
            if answer.is_redirect:
                url = urljoin(url, answer.headers["location"])
                if url.startswith(PAGE):
                    return url
                answer = http.get(url, allow_redirects=False)
                continue
            action = re.search(r'<form[^>]* action="([^"]+)"', answer.text)[1]
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)[1]
            filled = {"prompt": prompt, "login": name, "password": "any"}
            url = urljoin(url, action)
            answer = http.post(url, filled, allow_redirects=False)
    raise AssertionError(answer.text)


def test_a_person_signs_in_at_a_certified_provider(settings):
    page = OpenIdProvider(settings)
    request = new_request()
    back = query_of(sent_back(page.address(request), "ada"))
    one = page.finish(request, back)
    assert (one.issuer, one.subject, one.name) == (settings.issuer, "ada", "ada")
    assert (one.shown, one.groups) == ("ada of the laboratory", ("adas",))
    again = OpenIdProvider(settings)  # which does not know that the answer was used
    with pytest.raises(SignInError, match="no token"):
        again.finish(request, back)
    leaving = requests.get(page.end_address(), timeout=10)
    assert leaving.ok and "/session/end/confirm" in leaving.text


@pytest.mark.parametrize("wrong", ["verifier", "secret", "nonce", "client"])
def test_what_it_refuses_or_we_do(settings, wrong):
    page = OpenIdProvider(settings)
    request = new_request()
    back = query_of(sent_back(page.address(request), "ada"))
    changed = {"secret": {"client_secret": "x" * 40}, "client": {"client_id": "other"}}
    other = OidcSettings(**{**settings.model_dump(), **changed.get(wrong, {})})
    words = {name: getattr(request, name) for name in ("state", "nonce", "verifier")}
    kept = SignInRequest(**{**words, **({wrong: "b" * 64} if wrong in words else {})})
    with pytest.raises(SignInError):
        OpenIdProvider(other).finish(kept, back)


def test_it_asks_for_a_challenge(settings):
    """Without PKCE, the provider itself sends the person back with an error."""
    address = OpenIdProvider(settings).address(new_request())
    plain = re.sub(r"&code_challenge(_method)?=[^&]+", "", address)
    answer = requests.get(plain, allow_redirects=False, timeout=10)
    assert parse_qs(urlsplit(answer.headers["location"]).query)["error"] == ["invalid_request"]
