"""A token for this service itself: the grant of client credentials (RFC 6749, 4.4)."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from .provider import SignInError, unreached

_LEFT_S = 60.0  # before its end a token is replaced
_LEFT_SHARE = 0.2  # or this share of a short one
_UNSAID_S = 300.0  # of a token that does not say how long it lasts


class ClientCredentials:
    """Asks the token endpoint when a token is wanted and the last one is near its end."""

    def __init__(
        self,
        endpoint: str,
        client: tuple[str, str],
        scope: str = "",
        ca: Path | None = None,
        answer_s: float = 10.0,
    ):
        """Asks nobody yet; `client` is its id and secret.

        Raises:
            ModuleNotFoundError: the extra `oidc` is not installed.
        """
        import authlib.integrations.requests_client

        self._sessions: Callable[..., Any] = authlib.integrations.requests_client.OAuth2Session
        self._endpoint = endpoint
        self._client = client
        self._scope = scope
        self._verify = str(ca) if ca else True
        self._answer_s = answer_s
        self._asking = threading.Lock()
        self._token = ""
        self._until = 0.0

    def token(self) -> str:
        """An access token that has not ended.

        Raises:
            SignInError: the endpoint does not answer, or gives none.
        """
        with self._asking:
            now = monotonic()
            if now >= self._until:
                given = self._asked()
                self._token = str(given.get("access_token") or "")
                if not self._token.isascii() or not self._token.isprintable() or not self._token:
                    raise SignInError(
                        f"{self._endpoint}: no access token in the answer", "check its client"
                    )
                lasts_s = float(given.get("expires_in") or _UNSAID_S)
                self._until = now + max(lasts_s - _LEFT_S, lasts_s * _LEFT_SHARE)
            return self._token

    def _asked(self) -> Mapping[str, Any]:
        import requests
        from authlib.common.errors import AuthlibBaseError

        with self._sessions(
            *self._client, scope=self._scope or None, default_timeout=self._answer_s
        ) as session:
            session.verify = self._verify
            try:
                given: Mapping[str, Any] = session.fetch_token(
                    self._endpoint, grant_type="client_credentials", allow_redirects=False
                )
            except AuthlibBaseError as error:
                raise SignInError(
                    f"{self._endpoint}: gives this client no token ({error.error})",
                    "check id, secret and scope",
                ) from error
            except (requests.RequestException, ValueError) as error:
                raise unreached(self._endpoint) from error
        return given
