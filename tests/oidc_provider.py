"""A small OpenID Connect provider on loopback. It signs real tokens (RS256, by joserfc), and a test
may have it do so wrongly.
"""

import hashlib
import json
import secrets
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from stream.config import OidcSettings

CLIENT = "smears"
SECRET = "s" * 40
ROLES = {"haematology": "reviewer", "chief": "admin"}
ADA = {"sub": "u-1", "preferred_username": "ada", "name": "Ada Ito", "groups": ["haematology"]}


@cache
def rsa_key(kid="k1"):
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


def query_of(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


class Provider:
    """`claims` are put over those of the next token, `sign` makes one of claims in another way;
    `told` is what the user-info end says of a person beside the token.
    """

    def __init__(self):
        self.reset()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.issuer = f"http://localhost:{self._server.server_port}"  # another site than 127.0.0.1

    def settings(self, **more):
        """Those of a page whose people it signs in."""
        about = {"client_id": CLIENT, "client_secret": SECRET, "address": "http://127.0.0.1"}
        return OidcSettings(issuer=self.issuer, **{**about, "roles": ROLES, **more})

    def reset(self):
        """As it was at first; its address stays."""
        self.codes = {}
        self.tokens = {}
        self.claims = {}
        self.facts = {}
        self.told = {}
        self.asked = []
        self.key = rsa_key()
        self.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def discovery(self):
        ends = ("authorization", "token", "userinfo", "end_session")
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            **{f"{end}_endpoint": f"{self.issuer}/{end}" for end in ends},
            "authorization_response_iss_parameter_supported": True,
            **self.facts,
        }

    def approve(self, url, person=None):
        """Where the provider sends a person who was sent to `url` and has signed in."""
        asked = query_of(url)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked, ADA if person is None else person
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def exchanged(self, sent):
        """The tokens for a code, which counts once (RFC 6749, 4.1.3; RFC 7636, 4.6)."""
        asked, person = self.codes.pop(sent["code"], ({}, {}))
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).decode().rstrip("=")
        if not asked or asked.get("code_challenge") != challenge:
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, **person}
        claims |= {"nonce": asked["nonce"], **self.claims}
        access = secrets.token_urlsafe(16)
        self.tokens[access] = {"sub": person["sub"], **self.told}
        made = self.sign({name: value for name, value in claims.items() if value is not None})
        return {"access_token": access, "token_type": "Bearer", "id_token": made}

    def own_token(self, sent, shown):
        """A token of the client itself (RFC 6749, 4.4)."""
        if shown != f"Basic {b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}":
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": CLIENT, "aud": "kafka", "iat": now, "exp": now + 300}
        token = self.sign({**claims, "scope": sent.get("scope", ""), **self.claims})
        return {"access_token": token, "token_type": "Bearer", "expires_in": 300}


def handler_of(provider):
    class Handler(BaseHTTPRequestHandler):
        def answer(self, said, status=200):
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            path = urlsplit(self.path).path
            provider.asked.append(path)
            if path == "/.well-known/openid-configuration":
                self.answer(provider.discovery())
            elif path == "/jwks":
                self.answer(KeySet([provider.key]).as_dict(private=False))
            elif path == "/authorization":  # who comes here is Ada, and has signed in before
                self.send_response(303)
                self.send_header("Location", provider.approve(self.path))
                self.end_headers()
            elif path == "/userinfo":
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                self.answer(provider.tokens.get(token, {}))
            else:
                self.answer({"path": self.path})

        def do_POST(self):
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent = query_of(f"?{body}")
            by_itself = sent["grant_type"] == "client_credentials"
            shown = self.headers.get("Authorization", "")
            tokens = provider.own_token(sent, shown) if by_itself else provider.exchanged(sent)
            error = {"error": "invalid_grant"}
            self.answer(tokens or error, 200 if tokens else 400)

        def log_message(self, *_):
            pass

    return Handler
