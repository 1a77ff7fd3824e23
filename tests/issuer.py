"""An OpenID Connect issuer for tests: real keys, real HTTP on the loopback."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "ratoon-api"
# Made once: to make an RSA key takes its time.
_RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
_EC = ECKey.generate_key("P-256", {"kid": "ec"})


class TestIssuer:
    """Publishes its configuration and keys; `status` other than 200 is answered instead when set."""

    __test__ = False

    def __init__(self) -> None:
        self.keys: dict[str, RSAKey | ECKey] = {"rsa": _RSA, "ec": _EC}
        self.extra: list[Any] = []
        self.status = 200
        self.fetched: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/realm"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(
        self,
        key: str | RSAKey | ECKey | OctKey = "rsa",
        *,
        alg: str = "",
        kid: str | None = "",
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        signer = self.keys[key] if isinstance(key, str) else key
        name = kid if kid != "" else (key if isinstance(key, str) else "rsa")
        algorithm = alg or ("ES256" if isinstance(signer, ECKey) else "RS256")
        header = {"alg": algorithm, **({"kid": name} if name else {}), **(headers or {})}
        return jwt.encode(
            header,
            self.claims(**claims),
            signer,
            registry=JWSRegistry(algorithms=[algorithm], strict_check_header=False),
        )

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "auth0|ada",
            "iat": now,
            "exp": now + 300,
        }
        told = {"name": "Ada", "email": "ada@example.org", "email_verified": True}
        return {k: v for k, v in {**claims, **told, **changes}.items() if v is not None}

    def _answer(self, path: str) -> Any:
        if path.endswith("/.well-known/openid-configuration"):
            return {"issuer": self.url, "jwks_uri": self.url + "/keys"}
        published = [k.as_dict(private=False) for k in self.keys.values()]
        return {"keys": [*self.extra, *published]}

    def _handler(issuer: "TestIssuer") -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched.append(self.path)
                body = json.dumps(issuer._answer(self.path)).encode()
                self.send_response(issuer.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler
