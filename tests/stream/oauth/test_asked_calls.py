"""What is asked of a token endpoint and of a provider, call by call, and every refusal whole; a
session that answers from here stands in the place of Authlib's.
"""

from pathlib import Path
from types import SimpleNamespace

import authlib.integrations.requests_client
import pytest
import requests
from authlib.common.errors import AuthlibBaseError

from stream.config import OidcSettings
from stream.oauth import ClientCredentials, OpenIdProvider, SignInError, SignInRequest
from stream.oauth import client_credentials as credentials
from stream.oauth import provider as provider_module
from stream.oauth.provider import ProviderFacts
from stream.oauth.signed_in import claim_of, claim_text, member_groups
from tests.approved import approved
from tests.recorded import Recorded

ENDPOINT = "https://login.lab.example/token"


class Session:
    """Authlib's session, as far as it is used here: it gives or raises what is next."""

    def __init__(self, recorded, answers):
        self.recorded, self.answers = recorded, answers
        self.verify = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.recorded.lines.append(f"session ends, verify {self.verify}")

    def __repr__(self):
        return "<session>"

    def __getattr__(self, name):
        return self.recorded.function(name, lambda *_, **__: self.next())

    def next(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def recorded(monkeypatch):
    return Recorded(monkeypatch)


@pytest.fixture
def answers(recorded):
    answers = []
    session = recorded.function("Session", lambda *_, **__: Session(recorded, answers))
    package = authlib.integrations.requests_client
    recorded.monkeypatch.setattr(package, "OAuth2Session", session)
    return answers


def told(recorded, call):
    """What a call gives, or how it is refused."""
    try:
        recorded.lines.append(f"-> {call()!r}")
    except SignInError as error:
        recorded.lines.append(f"-> {error.what} ({error.hint})")


class RefusalError(AuthlibBaseError):
    error = "invalid_client"


def test_a_token_of_the_service_itself(recorded, answers, monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(credentials, "monotonic", lambda: now.s)
    plain = ClientCredentials(ENDPOINT, ("me", "secret"))
    full = ClientCredentials(ENDPOINT, ("me", "secret"), "lab", Path("ca.pem"), 3.0)
    answers += [{"access_token": "t1"}, {"access_token": "t2", "expires_in": 3600}]
    told(recorded, plain.token)
    told(recorded, full.token)
    for given in (
        {"access_token": None},
        {},
        {"access_token": "é"},
        {"access_token": "a\nb"},
        RefusalError(),
        requests.ConnectionError(),
        ValueError("no JSON"),
    ):
        answers.append(given)
        told(recorded, ClientCredentials(ENDPOINT, ("me", "secret")).token)
    approved(__file__, "client_credentials", "\n".join(recorded.lines))


@pytest.mark.parametrize(
    ("lasts_s", "asked_at"),
    [(None, 240.0), (0, 240.0), (3600, 3540.0), ("100", 40.0), (70, 14.0), (10, 2.0)],
)
def test_when_a_token_is_asked_for_again(recorded, answers, monkeypatch, lasts_s, asked_at):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(credentials, "monotonic", lambda: now.s)
    mine = ClientCredentials(ENDPOINT, ("me", "secret"))
    answers += [{"access_token": name, "expires_in": lasts_s} for name in ("first", "second")]
    assert mine.token() == "first"
    now.s = 1000.0 + asked_at - 0.5
    assert mine.token() == "first"
    now.s = 1000.0 + asked_at
    assert mine.token() == "second" and not answers


ISSUER = "https://login.lab.example"
FACTS = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


def settings(**more):
    about = {"client_id": "page", "address": "https://review.lab.example/", "roles": {"a": "admin"}}
    return OidcSettings(issuer=ISSUER, **{**about, **more})


def answer_of(value, error=None):
    def raise_for_status():
        if error:
            raise error

    return SimpleNamespace(json=lambda: value, raise_for_status=raise_for_status)


def test_how_a_provider_is_asked(recorded, answers):
    request = SignInRequest("state", "nonce", "verifier")
    methods = "token_endpoint_auth_methods_supported"
    for more, facts in (
        ({}, {}),
        ({"client_secret": "s", "scopes": ("openid", "groups"), "answer_s": 3}, {}),
        ({"client_secret": "s", "ca": "ca.pem"}, {methods: ["client_secret_post"]}),
        ({"client_secret": "s"}, {methods: ["client_secret_post", "client_secret_basic"]}),
        ({"client_secret": "s"}, {methods: ["private_key_jwt"]}),
    ):
        answers += [answer_of({**FACTS, **facts}), ("https://sign.in/here", "x")]
        told(recorded, lambda more=more: OpenIdProvider(settings(**more)).address(request))
    ends = {"end_session_endpoint": f"{ISSUER}/end?a=b"}
    answers += [answer_of(FACTS), answer_of({**FACTS, **ends})]
    told(recorded, lambda: OpenIdProvider(settings()).end_address())
    told(recorded, lambda: OpenIdProvider(settings()).end_address())
    approved(__file__, "provider_asked", "\n".join(recorded.lines))


def test_a_provider_that_answers_otherwise(recorded, answers):
    for answer in (
        requests.ConnectionError(),
        answer_of({}, requests.HTTPError()),
        answer_of({}),
        answer_of({**FACTS, "issuer": "https://evil.example"}),
        *(
            answer_of({**FACTS, name: "http://login.lab.example/x?a"})
            for name in (*list(FACTS)[1:], "userinfo_endpoint", "end_session_endpoint")
        ),
        answer_of({**FACTS, "userinfo_endpoint": f"{ISSUER}/u?a=1#b"}),
    ):
        answers.append(answer)
        told(recorded, OpenIdProvider(settings()).facts)
    approved(__file__, "provider_answers", "\n".join(recorded.lines))


def test_facts_are_kept_and_a_silent_provider_is_left_alone(recorded, answers, monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(provider_module, "monotonic", lambda: now.s)
    page = OpenIdProvider(settings(answer_s=7))
    answers += [answer_of(FACTS)]
    facts = page.facts()
    for later in (0.0, 299.0):
        now.s = 1000.0 + later
        assert page.facts() is facts
    now.s = 1300.0
    answers += [requests.ConnectionError(), answer_of(FACTS), answer_of(FACTS)]
    for second, left in ((0.0, 2), (11.9, 2), (12.0, 1)):
        now.s = 1300.0 + second
        told(recorded, page.facts)
        assert len(answers) == left, second
    now.s = 1620.0
    page.facts()
    assert not answers
    recorded.lines.append("somebody else asks")
    page._looking.acquire()
    monkeypatch.setattr(provider_module, "_ASKING_S", 0.001)
    told(recorded, page.facts)
    approved(__file__, "provider_silent", "\n".join(recorded.lines))
    assert provider_module.LEEWAY_S == 60 and provider_module._SUBJECT_MOST == 255


def test_a_state_counts_once_within_an_hour(recorded, answers, monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(provider_module, "monotonic", lambda: now.s)
    page = OpenIdProvider(settings())
    page._use("a")
    for later, is_used in ((3599.0, True), (3600.0, False)):
        now.s = 1000.0 + later
        if is_used:
            with pytest.raises(SignInError, match="finished already"):
                page._use("a")
        else:
            page._use("b")
            assert list(page._used) == ["b"]


def test_the_tokens_and_the_person_that_a_provider_gives(recorded, answers):
    page = OpenIdProvider(settings())
    facts = ProviderFacts(**FACTS, userinfo_endpoint=f"{ISSUER}/user")
    request = SignInRequest("state", "nonce", "verifier")
    session = Session(recorded, answers)
    for answer in ({"id_token": "x"}, RefusalError(), requests.Timeout(), ValueError("no JSON")):
        answers.append(answer)
        told(recorded, lambda: page._exchanged(session, facts, request, "code"))
    for answer in (
        answer_of({"sub": "u-1", "name": "Ada"}),
        answer_of({"sub": "u-2"}),
        answer_of(["u-1"]),
        answer_of({}, requests.HTTPError()),
        RefusalError(),
    ):
        answers.append(answer)
        told(recorded, lambda: page._told(session, facts, "u-1"))
    approved(__file__, "provider_tokens", "\n".join(recorded.lines))


def test_an_answer_is_of_this_sign_in_and_this_provider(recorded, answers, monkeypatch):
    page = OpenIdProvider(settings(name_claim="id"))
    claims = {"sub": "u-1", "id": " ada ", "name": "Ada"}
    monkeypatch.setattr(page, "_exchanged", recorded.function("_exchanged", {}))
    monkeypatch.setattr(page, "_checked", lambda *_: dict(claims))
    more = {"id": "another", "groups": ["a"], "name": 7}
    monkeypatch.setattr(page, "_told", recorded.function("_told", more))
    numbers = iter(range(99))
    for named, user_info, answer in (
        (False, False, {"code": "c"}),
        (False, True, {"code": "c", "iss": ISSUER}),
        (False, False, {"code": "c", "iss": "https://evil.example"}),
        (True, False, {"code": "c"}),
        (True, False, {"code": "c", "iss": ISSUER}),
        (False, False, {"code": "c", "error": "no"}),
        (False, False, {"code": ""}),
        (False, False, {}),
        (False, False, {"code": "c", "state": "another"}),
    ):
        more_facts = {"authorization_response_iss_parameter_supported": named}
        ends = {"userinfo_endpoint": f"{ISSUER}/user"} if user_info else {}
        facts = ProviderFacts(**FACTS, **more_facts, **ends)
        monkeypatch.setattr(page, "facts", lambda facts=facts: facts)
        request = SignInRequest(f"state {next(numbers)}", "nonce", "verifier")
        recorded.lines.append(f"{answer}, named {named}")
        whole = {"state": request.state, **answer}
        told(recorded, lambda whole=whole, one=request: page.finish(one, whole))
    approved(__file__, "provider_finish", "\n".join(recorded.lines))


def test_a_claim_has_a_name_or_a_path():
    claims = {"a": {"b": {"c": 1}}, "a.b": 2, "n": " x ", "list": ["x", 3, "y"], "no": 7}
    assert [claim_of(claims, name) for name in ("a.b", "a.b.c", "a.c", "n.x", "a.b.c.d")] == [
        2,
        1,
        None,
        None,
        None,
    ]
    assert [claim_text(claims, name) for name in ("n", "no", "z")] == ["x", "", ""]
    assert member_groups(claims, "list") == ("x", "y") and member_groups(claims, "n") == (" x ",)
    assert member_groups(claims, "no") == ()
