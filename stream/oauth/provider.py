"""Sign-in by an OpenID Connect provider: authorization code with PKCE, state and nonce
(OpenID Connect Core 1.0, RFC 7636, RFC 9207), as Authlib has it.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from time import monotonic
from typing import Any

from pydantic import BaseModel, ValidationError

from ingest import CytostreamError
from stream.config import OidcSettings, is_safe_address

from .signed_in import SignedIn, claim_text, member_groups

# those with a public key: what is signed with the client's secret, or not at all, is refused
ALGORITHMS = tuple(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
LEEWAY_S = 60  # clocks differ
BACK = "login/back"
_KEPT_S = 300.0
_ASKING_S = 2.0  # for somebody else's question
_SILENT_S = 5.0  # after a failed one, nobody asks
_USED_S = 3600.0  # longer than a sign-in may take
_SUBJECT_MOST = 255  # characters, by the standard


class SignInError(CytostreamError):
    """A sign-in that is refused, or cannot be finished."""


class ProviderFacts(BaseModel):
    """What the provider says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """What a sign-in was begun with: each is random, and of this one alone."""

    state: str
    nonce: str
    verifier: str


class OpenIdProvider:
    """The provider of the configuration. Its facts are kept for five minutes, its keys not."""

    def __init__(self, settings: OidcSettings):
        """Asks nobody yet.

        Raises:
            ModuleNotFoundError: the extra `oidc` is not installed.
        """
        import authlib.integrations.requests_client
        import joserfc.jwt  # noqa: F401  a page without either does not start

        self.settings = settings
        self._sessions = authlib.integrations.requests_client.OAuth2Session
        self._looking = threading.Lock()
        self._facts: tuple[float, ProviderFacts] | None = None
        self._silent_until = 0.0
        self._using = threading.Lock()
        self._used: dict[str, float] = {}

    @property
    def back(self) -> str:
        """Where the provider sends people back to."""
        return f"{self.settings.address.rstrip('/')}/{BACK}"

    def address(self, request: SignInRequest) -> str:
        """Where a person signs in.

        Raises:
            SignInError: the provider does not answer, or is another one.
        """
        facts = self.facts()
        with self._session(facts) as session:
            url, _ = session.create_authorization_url(
                facts.authorization_endpoint,
                state=request.state,
                nonce=request.nonce,
                code_verifier=request.verifier,
            )
        return str(url)

    def end_address(self) -> str:
        """Where a person ends their session at the provider; empty where it has none.

        Raises:
            SignInError: the provider does not answer, or is another one.
        """
        from authlib.common.urls import add_params_to_uri

        facts = self.facts()
        if not facts.end_session_endpoint:
            return ""
        after = f"{self.settings.address.rstrip('/')}/login"
        asked = {"client_id": self.settings.client_id, "post_logout_redirect_uri": after}
        return str(add_params_to_uri(facts.end_session_endpoint, asked))

    def finish(self, request: SignInRequest, answer: Mapping[str, str]) -> SignedIn:
        """Whom the provider has signed in; `answer` is the query that it sent back.

        Raises:
            SignInError: the answer is of another sign-in or provider, or refuses; the provider does
            not answer; or its token is not what it must be.
        """
        if not compare_digest(answer.get("state", "").encode(), request.state.encode()):
            raise SignInError("this is the answer to another sign-in", "sign in again")
        self._use(request.state)
        facts = self.facts()
        named = answer.get("iss")
        if named != facts.issuer and (
            named is not None or facts.authorization_response_iss_parameter_supported
        ):
            raise SignInError("another provider has answered", "sign in again")
        if "error" in answer or not answer.get("code"):
            raise SignInError("the provider has not let you in", "ask its administrator")
        with self._session(facts) as session:
            token = self._exchanged(session, facts, request, answer["code"])
            claims = self._checked(token, facts, request)
            missing = [name for name in self._wanted() if not member_groups(claims, name)]
            if missing and facts.userinfo_endpoint:
                claims = {**self._told(session, facts, claims["sub"]), **claims}
        return SignedIn(
            facts.issuer,
            claims["sub"],
            claim_text(claims, self.settings.name_claim),
            claim_text(claims, "name"),
            member_groups(claims, self.settings.groups_claim),
        )

    def facts(self) -> ProviderFacts:
        """What the provider says of itself.

        Raises:
            SignInError: it does not answer, is another one, or has addresses without TLS.
        """
        if not self._looking.acquire(timeout=_ASKING_S):
            raise unreached(self.settings.issuer)
        try:
            now = monotonic()
            if self._facts and now - self._facts[0] < _KEPT_S:
                return self._facts[1]
            if now < self._silent_until:  # who waits for it holds up everybody's pages
                raise unreached(self.settings.issuer)
            self._silent_until = now + self.settings.answer_s + _SILENT_S
            facts = self._asked()
            self._silent_until = 0.0
            self._facts = (now, facts)
            return facts
        finally:
            self._looking.release()

    def _asked(self) -> ProviderFacts:
        issuer = self.settings.issuer
        where = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            facts = ProviderFacts.model_validate(self._json(where))
        except ValidationError as error:
            raise SignInError(
                f"{where}: not what a provider says of itself", "check review.oidc.issuer"
            ) from error
        if facts.issuer != issuer:
            raise SignInError(
                f"the provider calls itself {facts.issuer!r}", "set review.oidc.issuer to that"
            )
        ends = (facts.authorization_endpoint, facts.token_endpoint, facts.jwks_uri)
        for end in (*ends, facts.userinfo_endpoint, facts.end_session_endpoint):
            if end and not is_safe_address(end.partition("?")[0]):
                raise SignInError(f"{end}: the provider has an address without TLS")
        return facts

    def _use(self, state: str) -> None:
        """An answer counts once.

        Raises:
            SignInError: it was used before.
        """
        with self._using:
            now = monotonic()
            self._used = {one: until for one, until in self._used.items() if until > now}
            if state in self._used:
                raise SignInError("this sign-in was finished already", "sign in again")
            self._used[state] = now + _USED_S

    def _wanted(self) -> tuple[str, str]:
        return self.settings.name_claim, self.settings.groups_claim

    def _session(self, facts: ProviderFacts | None = None) -> Any:
        settings = self.settings
        secret = settings.client_secret.get_secret_value()
        known = facts.token_endpoint_auth_methods_supported if facts else ()
        by_form = "client_secret_post" in known and "client_secret_basic" not in known
        method = "client_secret_post" if by_form else "client_secret_basic"
        session = self._sessions(
            settings.client_id,
            secret,
            token_endpoint_auth_method=method if secret else "none",
            scope=" ".join(settings.scopes),
            redirect_uri=self.back,
            code_challenge_method="S256",
            default_timeout=settings.answer_s,
        )
        session.verify = str(settings.ca) if settings.ca else True
        return session

    def _json(self, address: str) -> Any:
        """What an address of the provider answers.

        Raises:
            SignInError: nothing, or no JSON.
        """
        import requests

        with self._session() as session:
            try:
                answer = session.get(address, withhold_token=True, allow_redirects=False)
                answer.raise_for_status()
                return answer.json()
            except requests.RequestException as error:  # no JSON is one of them
                raise unreached(address) from error

    def _exchanged(
        self, session: Any, facts: ProviderFacts, request: SignInRequest, code: str
    ) -> Mapping[str, Any]:
        """The tokens for a code."""
        import requests
        from authlib.common.errors import AuthlibBaseError

        try:
            token: Mapping[str, Any] = session.fetch_token(
                facts.token_endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=request.verifier,
                redirect_uri=self.back,
                allow_redirects=False,
            )
        except AuthlibBaseError as error:
            raise SignInError("the provider gives no token for this answer", "sign in again") from (
                error
            )
        except (requests.RequestException, ValueError) as error:
            raise unreached(facts.token_endpoint) from error
        return token

    def _checked(
        self, token: Mapping[str, Any], facts: ProviderFacts, request: SignInRequest
    ) -> dict[str, Any]:
        """The claims of an ID token whose signature, issuer, audience, time and nonce are right
        (OpenID Connect Core 1.0, 3.1.3.7).
        """
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet
        from joserfc.jws import JWSRegistry

        published = self._json(facts.jwks_uri)
        must = {
            "iss": {"essential": True, "value": facts.issuer},
            "aud": {"essential": True, "value": self.settings.client_id},
            "nonce": {"essential": True, "value": request.nonce},
        }
        told = {"client_id": self.settings.client_id, "nonce": request.nonce}
        try:
            decoded = jwt.decode(
                token["id_token"],
                KeySet.import_key_set(published),
                registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False),
            )
            access = {"access_token": token.get("access_token", "")}
            claims = CodeIDToken(decoded.claims, decoded.header, must, {**told, **access})
            claims.validate(leeway=LEEWAY_S)
            subject = claims["sub"]
            if not (subject.isprintable() and 0 < len(subject) <= _SUBJECT_MOST):
                raise ValueError("no subject")
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SignInError("the token of the provider is not what it must be") from error
        return dict(claims)

    def _told(self, session: Any, facts: ProviderFacts, subject: str) -> dict[str, Any]:
        """What the provider says of a person beside the ID token (OpenID Connect Core 1.0, 5.3)."""
        import requests
        from authlib.common.errors import AuthlibBaseError

        try:
            answer = session.get(facts.userinfo_endpoint, allow_redirects=False)
            answer.raise_for_status()
            told = answer.json()
        except (requests.RequestException, AuthlibBaseError) as error:
            raise unreached(facts.userinfo_endpoint) from error
        if not isinstance(told, dict) or told.get("sub") != subject:
            raise SignInError("the provider describes another person")
        return told


def unreached(address: str) -> SignInError:
    """The error of an address that does not answer, or not as the standard has it."""
    host = address.partition("//")[2].partition("/")[0]
    return SignInError(
        f"the sign-in service {host} does not answer as it must",
        "try again; else check its address in the config",
    )
