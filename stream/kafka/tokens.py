"""Tokens for a broker with SASL OAUTHBEARER: by client credentials, or by a provider that an
installed package has.
"""

from collections.abc import Callable
from importlib.metadata import entry_points

from kafka.errors import KafkaConfigurationError, SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider

from ingest import CytostreamError
from stream.config import CLIENT_CREDENTIALS, KafkaTokens
from stream.oauth import ClientCredentials

GROUP = "cytostream.kafka_tokens"
GiveToken = Callable[[], str]


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc] # it has no types
    """A token at every connection, for kafka-python."""

    def __init__(self, give: GiveToken):
        self._give = give

    def token(self) -> str:
        """The token.

        Raises:
            SaslAuthenticationFailedError: there is none now.
        """
        try:
            return self._give()
        except Exception as error:  # of whatever package; the client knows its own errors alone
            raise SaslAuthenticationFailedError(f"no token: {error}") from error


def token_provider(settings: KafkaTokens, answer_s: float) -> TokenProvider:
    """The provider that the configuration names.

    Raises:
        KafkaConfigurationError: no installed package has it, or it cannot be made.
    """
    if settings.provider == CLIENT_CREDENTIALS:
        client = (settings.client_id, settings.client_secret.get_secret_value())
        ready = ClientCredentials(
            settings.endpoint, client, scope=settings.scope, ca=settings.ca, answer_s=answer_s
        )
        return TokenProvider(ready.token)
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if settings.provider not in found:
        known = ", ".join(sorted([CLIENT_CREDENTIALS, *found]))
        raise KafkaConfigurationError(f"kafka.token.provider {settings.provider!r}: of {known}")
    try:
        return TokenProvider(found[settings.provider].load()(settings))
    except CytostreamError:
        raise
    except Exception as error:  # of whatever package
        raise KafkaConfigurationError(
            f"kafka.token.provider {settings.provider!r}: {error}"
        ) from error
