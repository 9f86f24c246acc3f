"""What the provider is asked, and which of its answers name a person."""

import hmac
import json
import time
from base64 import urlsafe_b64encode

import pytest
from joserfc import jwt
from joserfc.jws import JWSRegistry
from pydantic import ValidationError

from ingest import CytostreamError
from stream.cli.page_access import mode_of
from stream.cli.page_server import Page
from stream.config import Config, OidcSettings, ReviewSettings, load_config
from stream.oauth import OpenIdProvider, SignInError, SignInRequest
from stream.oauth import provider as provider_module
from stream.oauth.signed_in import member_groups, role_of
from tests.oidc_provider import ADA, CLIENT, ROLES, SECRET, query_of, rsa_key

AT = "http://127.0.0.1"
NUMBERS = iter(range(10**6))


def new_request():
    return SignInRequest(*(f"{next(NUMBERS):064}" for _ in range(3)))


def signed_in(provider, person=None, **more):
    """Whom the page takes it for."""
    page = OpenIdProvider(provider.settings(**more))
    request = new_request()
    back = provider.approve(page.address(request), person)
    return page.finish(request, query_of(back))


def test_what_the_provider_is_asked(provider):
    request = new_request()
    asked = query_of(OpenIdProvider(provider.settings()).address(request))
    assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{AT}/login/back" and asked["scope"] == "openid profile"
    assert (asked["state"], asked["nonce"]) == (request.state, request.nonce)
    assert asked["client_id"] == CLIENT and request.verifier not in asked.values()


def test_whom_it_names(provider):
    one = signed_in(provider)
    assert (one.issuer, one.subject) == (provider.issuer, "u-1")
    assert (one.name, one.shown, one.groups) == ("ada", "Ada Ito", ("haematology",))
    assert "/userinfo" not in provider.asked


def compact(header, claims, signature=b""):
    parts = [json.dumps(part).encode() for part in (header, claims)]
    return ".".join(urlsafe_b64encode(p).decode().rstrip("=") for p in (*parts, signature))


def by_secret(claims, secret):
    """HS256 by hand: joserfc makes no key of a public one."""
    head, body, _ = compact({"alg": "HS256", "kid": "k1"}, claims).split(".")
    made = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{urlsafe_b64encode(made).decode().rstrip('=')}"


def by_public_key(claims):
    return by_secret(claims, rsa_key().as_pem(private=False))


def by_client_secret(claims):
    return by_secret(claims, SECRET.encode())


def by_another(claims):
    return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, rsa_key("k2"))


def with_own_key(claims):
    """The key that it was signed with stands in its header."""
    header = {"alg": "RS256", "jwk": rsa_key("k2").as_dict(private=False)}
    return jwt.encode(header, claims, rsa_key("k2"))


def changed_after(claims):
    """Signed, and then another person."""
    head, _, signature = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, rsa_key()).split(".")
    body = urlsafe_b64encode(json.dumps({**claims, "sub": "u-2"}).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


PAST = time.time() - 3600
WRONG_CLAIMS = {
    "nonce of another": {"nonce": "x" * 64},
    "no nonce": {"nonce": None},
    "audience": {"aud": "another-page"},
    "no audience": {"aud": None},
    "audience of several, for another": {"aud": [CLIENT, "other"], "azp": "other"},
    "audience of several, for nobody": {"aud": [CLIENT, "other"]},
    "issuer": {"iss": "https://evil.example"},
    "issuer with a slash": {"iss": "http://localhost/"},
    "no issuer": {"iss": None},
    "expired": {"exp": PAST},
    "never expires": {"exp": None},
    "expires at no time": {"exp": "soon"},
    "not yet": {"nbf": time.time() + 3600},
    "of the future": {"iat": time.time() + 3600},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "subject of two lines": {"sub": "u\n1"},
    "subject that is no text": {"sub": ["u-1"]},
    "another access token": {"at_hash": "x" * 22},
}
WRONG_SIGNATURES = {
    "alg none": lambda claims: compact({"alg": "none"}, claims),
    "alg None": lambda claims: compact({"alg": "None"}, claims, b"x"),
    "public key as a secret": by_public_key,
    "the client's secret": by_client_secret,
    "another key": by_another,
    "a key of its own": with_own_key,
    "changed after": changed_after,
    "no token": lambda claims: "",
    "half a token": lambda claims: compact({"alg": "RS256"}, claims).rpartition(".")[0],
    "a number": lambda claims: 7,
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
def test_a_token_with_wrong_claims_names_nobody(provider, wrong):
    provider.claims = WRONG_CLAIMS[wrong]
    with pytest.raises(SignInError, match="not what it must be"):
        signed_in(provider)


@pytest.mark.parametrize("wrong", WRONG_SIGNATURES)
def test_a_token_signed_wrongly_names_nobody(provider, wrong):
    provider.sign = WRONG_SIGNATURES[wrong]
    with pytest.raises(SignInError, match="not what it must be"):
        signed_in(provider)


def test_a_state_counts_once(provider):
    page = OpenIdProvider(provider.settings())
    request = new_request()
    where = page.address(request)
    page.finish(request, query_of(provider.approve(where)))
    with pytest.raises(SignInError, match="already"):
        page.finish(request, query_of(provider.approve(where)))


def test_a_code_counts_once(provider):
    page = OpenIdProvider(provider.settings())
    first = new_request()
    used = query_of(provider.approve(page.address(first)))
    page.finish(first, used)
    second = new_request()
    page.address(second)
    with pytest.raises(SignInError, match="no token"):
        page.finish(second, {**used, "state": second.state})


def test_a_code_of_another_sign_in_counts_for_nothing(provider):
    """It was not used yet; the verifier is another."""
    page = OpenIdProvider(provider.settings())
    theirs, own = new_request(), new_request()
    stolen = query_of(provider.approve(page.address(theirs)))["code"]
    answer = query_of(provider.approve(page.address(own)))
    with pytest.raises(SignInError, match="no token"):
        page.finish(own, {**answer, "code": stolen})


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"iss": None},
        {"state": ""},
        {"state": "é"},
        {"state": None},
        {"code": ""},
        {"code": None},
        {"error": "access_denied"},
    ],
)
def test_an_answer_that_is_not_right_names_nobody(provider, change):
    page = OpenIdProvider(provider.settings())
    request = new_request()
    answer = {**query_of(provider.approve(page.address(request))), **change}
    with pytest.raises(SignInError):
        page.finish(request, {k: v for k, v in answer.items() if v is not None})
    assert "/token" not in provider.asked


def test_a_provider_that_does_not_name_itself_need_not(provider):
    provider.facts = {"authorization_response_iss_parameter_supported": False}
    page = OpenIdProvider(provider.settings())
    request = new_request()
    answer = query_of(provider.approve(page.address(request)))
    del answer["iss"]
    assert page.finish(request, answer).name == "ada"


def test_a_token_may_have_a_header_of_the_provider_s_own(provider):
    registry = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    header = {"alg": "RS256", "kid": "k1", "x-tenant": "lab"}
    provider.sign = lambda claims: jwt.encode(header, claims, provider.key, registry=registry)
    assert signed_in(provider).name == "ada"


def test_what_the_token_leaves_out_comes_from_the_user_info(provider):
    provider.told = ADA
    one = signed_in(provider, {"sub": "u-1"})
    assert (one.name, one.groups) == ("ada", ("haematology",)) and "/userinfo" in provider.asked
    provider.told = {**ADA, "sub": "u-2"}
    with pytest.raises(SignInError, match="another person"):
        signed_in(provider, {"sub": "u-1"})


def test_groups_and_names_may_stand_elsewhere(provider):
    person = {"sub": "u", "https://x.example/id": "eve", "realm_access": {"roles": ["chief"]}}
    claims = {"groups_claim": "realm_access.roles", "name_claim": "https://x.example/id"}
    one = signed_in(provider, person, **claims)
    assert (one.name, one.groups) == ("eve", ("chief",))


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ("haematology", "reviewer"),
        (["visitors", "chief", "haematology"], "admin"),
        ([], None),
        (["visitors"], None),
        (None, None),
        ({"haematology": 1}, None),
        ([7, ["chief"]], None),
    ],
)
def test_the_highest_role_of_the_groups_counts(groups, role):
    assert role_of(member_groups({"groups": groups}, "groups"), ROLES) == role


def test_new_keys_of_the_provider_are_taken(provider):
    page = OpenIdProvider(provider.settings())
    for kid in ("k1", "k2"):
        provider.key = rsa_key(kid)
        head = {"alg": "RS256", "kid": kid}
        provider.sign = lambda claims, head=head: jwt.encode(head, claims, provider.key)
        request = new_request()
        answer = query_of(provider.approve(page.address(request)))
        assert page.finish(request, answer).name == "ada"
    assert provider.asked.count("/.well-known/openid-configuration") == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "http://localhost/"},
        {"token_endpoint": "http://evil.example/token"},
        {"userinfo_endpoint": "ftp://evil.example/token"},
        {"jwks_uri": 7},
    ],
)
def test_a_provider_that_is_another_is_not_asked(provider, facts):
    provider.facts = facts
    with pytest.raises(SignInError):
        OpenIdProvider(provider.settings()).address(new_request())
    assert provider.asked == ["/.well-known/openid-configuration"]


def test_a_silent_provider_is_asked_once_in_a_while(provider, monkeypatch):
    """Else whoever asks for the page of sign-in holds up everybody's threads."""
    provider.facts = {"issuer": "x"}
    page = OpenIdProvider(provider.settings())
    for _ in range(3):
        with pytest.raises(SignInError):
            page.address(new_request())
    assert provider.asked == ["/.well-known/openid-configuration"]
    provider.facts = {}
    later = provider_module.monotonic() + 60
    monkeypatch.setattr(provider_module, "monotonic", lambda: later)
    assert page.address(new_request()).startswith(f"{provider.issuer}/authorization?")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"client_id": ""}, "client_id"),
        ({"roles": {}}, "roles"),
        ({"address": ""}, "address"),
        ({"address": "http://lab.example"}, "https"),
        ({"address": "https://lab.example/?x"}, "https"),
        ({"issuer": "http://login.example"}, "https"),
        ({"issuer": "https://u:p@login.example"}, "https"),
        ({"issuer": "http://127.0.0.1.evil.example"}, "https"),
        ({"scopes": ("profile",)}, "openid"),
        ({"roles": {"g": "chief"}}, "viewer"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, says):
    right = {"issuer": "https://login.example", "client_id": "c", "roles": {"g": "viewer"}}
    with pytest.raises(ValidationError, match=says):
        OidcSettings(**{**right, "address": AT, **wrong})


def test_the_secret_comes_from_the_environment_and_is_not_shown(tmp_path, monkeypatch):
    path = tmp_path / "lab.toml"
    path.write_text(
        '[review.oidc]\nissuer = "https://login.example"\nclient_id = "c"\n'
        f'address = "{AT}"\nroles = {{ g = "viewer" }}\n'
    )
    monkeypatch.setenv("CYTOSTREAM_REVIEW__OIDC__CLIENT_SECRET", SECRET)
    config = load_config(path)
    assert config.review.oidc.client_secret.get_secret_value() == SECRET
    assert SECRET not in config.model_dump_json() + repr(config)
    monkeypatch.delenv("CYTOSTREAM_REVIEW__OIDC__CLIENT_SECRET")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "review__oidc__client_secret").write_text(SECRET)
    monkeypatch.setenv("CYTOSTREAM_SECRETS", str(tmp_path / "secrets"))
    assert load_config(path).review.oidc.client_secret.get_secret_value() == SECRET
    monkeypatch.delenv("CYTOSTREAM_SECRETS")
    path.write_text(f'{path.read_text()}client_secret = "{SECRET}"\n')
    path.chmod(0o644)
    with pytest.raises(CytostreamError, match="others can read"):
        load_config(path)


def test_a_provider_and_a_proxy_are_not_both_taken(tmp_path, provider):
    page = Page(store=tmp_path)
    config = Config(review=ReviewSettings(oidc=provider.settings()))
    assert mode_of(page, config, accounts=None) == "oidc"
    both = Config(review=ReviewSettings(oidc=provider.settings(), proxy_header="X-User"))
    with pytest.raises(CytostreamError, match="both"):
        mode_of(page, both, accounts=None)
