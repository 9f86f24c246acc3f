from .client_credentials import ClientCredentials
from .people import ProvidedPeople
from .provider import OpenIdProvider, SignInError, SignInRequest
from .signed_in import SignedIn, role_of

__all__ = [
    "ClientCredentials",
    "OpenIdProvider",
    "ProvidedPeople",
    "SignInError",
    "SignInRequest",
    "SignedIn",
    "role_of",
]
