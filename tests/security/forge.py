"""Signs what the server never would, with the server's own key: then only its checks stand in the way."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt


def segment(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def opened(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token."""
    header, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in text.split("."))
    return json.loads(header), json.loads(claims)


@dataclass(frozen=True)
class Forge:
    """Over a token that the server issued; `key` is its private JWK."""

    text: str
    key: dict[str, Any]

    @classmethod
    def at(cls, keys_file: Path, text: str) -> Forge:
        """With the key of the file that the token names."""
        kid = opened(text)[0]["kid"]
        (key,) = [each for each in json.loads(keys_file.read_text())["keys"] if each["kid"] == kid]
        return cls(text, key)

    @property
    def header(self) -> dict[str, Any]:
        """As issued."""
        return opened(self.text)[0]

    @property
    def claims(self) -> dict[str, Any]:
        """As issued."""
        return opened(self.text)[1]

    def sign(self, header: Any, claims: Any, key: dict[str, Any] | None = None) -> str:
        """With the server's algorithm, whatever the header says; with `key` in place of the server's, where given."""
        signed = ".".join(segment(json.dumps(part).encode()) for part in (header, claims))
        algorithm = jwt.get_algorithm_by_name(self.key["alg"])
        return f"{signed}.{segment(algorithm.sign(signed.encode(), algorithm.from_jwk(key or self.key)))}"

    def with_header(self, **changed: Any) -> str:
        """The token with parts of its header changed, signed right."""
        return self.sign(self.header | changed, self.claims)

    def with_claims(self, **changed: Any) -> str:
        """The token with claims changed, signed right."""
        return self.sign(self.header, self.claims | changed)
