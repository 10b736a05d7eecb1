"""Servers broken on purpose, one defect at a time: what each check of the checklists must catch.

Nothing in `servers/` knows of this. A mutation patches what the replica's process has imported; `app.py` beside this
file is what the replica then serves.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import flask
import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask

from servers import app as twins
from servers import csrf, tokens
from servers.scheme import Issued, NotAuthenticatedError
from servers.schemes import hybrid, session, token
from servers.signing_keys import KeyRing
from tests.security.forge import opened, segment
from tests.security.systems import Kind

SESSION = Kind("session", "redis")
TOKEN = Kind("token")
RSA_TOKEN = Kind("token", options=(("algorithm", "RS256"),))
HYBRID = Kind("hybrid", "redis")


@dataclass
class Patches:
    """What one mutation changes, until it is closed."""

    stack: ExitStack = field(default_factory=ExitStack)
    after: list[Callable[[Flask], object]] = field(default_factory=list)

    def __call__(self, owner: Any, name: str, new: Any) -> Any:
        """Put `new` there; returns what was."""
        was = getattr(owner, name)
        self.stack.enter_context(mock.patch.object(owner, name, new))
        return was


@dataclass(frozen=True)
class Mutation:
    """A defect, the check that must see it, and the kind of system that has it."""

    check: str
    kind: Kind
    apply: Callable[[Patches], None]

    @property
    def name(self) -> str:
        """In words with underscores."""
        return self.apply.__name__


MUTATIONS: dict[str, Mutation] = {}


def seen_by(check: str, kind: Kind) -> Callable[[Callable[[Patches], None]], Callable[[Patches], None]]:
    """The check that must fail."""

    def register(apply: Callable[[Patches], None]) -> Callable[[Patches], None]:
        MUTATIONS[apply.__name__] = Mutation(check, kind, apply)
        return apply

    return register


@seen_by("test_ids_hold_128_random_bits", SESSION)
def ids_have_twenty_bits(patch: Patches) -> None:
    patch(session, "secrets", SimpleNamespace(token_urlsafe=lambda _: f"{secrets.randbelow(10**6):022d}"))


@seen_by("test_login_gives_a_new_id_and_ends_the_old", SESSION)
def login_leaves_the_earlier_session(patch: Patches) -> None:
    patch(session.SessionScheme, "_end_earlier", lambda *_: None)


@seen_by("test_an_id_not_issued_is_not_adopted", SESSION)
def login_adopts_the_id_that_came(patch: Patches) -> None:
    def adopted(count: int) -> str:
        return session._secret(flask.request.environ) or secrets.token_urlsafe(count)

    patch(session, "secrets", SimpleNamespace(token_urlsafe=adopted))


@seen_by("test_an_idle_session_ends", SESSION)
def no_idle_limit(patch: Patches) -> None:
    _after_init(patch, session.SessionScheme, lambda scheme: setattr(scheme, "_idle_s", scheme._absolute_s))


@seen_by("test_a_used_session_ends_all_the_same", SESSION)
def no_absolute_limit(patch: Patches) -> None:
    _after_init(patch, session.SessionScheme, lambda scheme: setattr(scheme, "_absolute_s", 10**6))


@seen_by("test_logout_ends_it_on_every_replica", SESSION)
def logout_clears_the_cookie_alone(patch: Patches) -> None:
    patch(session.SessionScheme, "log_out", lambda *_: ())


@seen_by("test_logout_ends_it_on_every_replica", SESSION)
def a_replica_remembers_who_was_signed_in(patch: Patches) -> None:
    known: dict[str, Any] = {}

    def authenticate(self: Any, environ: Any) -> Any:
        cookie = environ.get("HTTP_COOKIE", "")
        if cookie not in known:
            known[cookie] = was(self, environ)
        return known[cookie]

    was = patch(session.SessionScheme, "authenticate", authenticate)


@seen_by("test_disabling_a_user_ends_their_sessions", SESSION)
def a_disabled_users_sessions_stay(patch: Patches) -> None:
    patch(twins._Twin, "_end_all", lambda *_: 0)


@seen_by("test_a_new_password_ends_other_sessions", SESSION)
def a_new_password_leaves_other_sessions(patch: Patches) -> None:
    patch(twins._Twin, "_end_all", lambda *_: 0)


@seen_by("test_an_administrators_kill_ends_sessions", SESSION)
def the_kill_kills_nothing(patch: Patches) -> None:
    patch(session.SessionScheme, "log_out_everywhere", lambda *_: 0)


@seen_by("test_an_administrators_kill_ends_sessions", SESSION)
def anybody_is_an_administrator(patch: Patches) -> None:
    patch(twins._Twin, "_authenticate_administrator", lambda self: self._authenticate_change())


def _without_attribute(attribute: str) -> Callable[[Patches], None]:
    def apply(patch: Patches) -> None:
        def strip(response: flask.Response) -> flask.Response:
            lines = response.headers.getlist("Set-Cookie")
            response.headers.setlist("Set-Cookie", [each.replace(attribute, "") for each in lines])
            return response

        patch.after.append(lambda app: app.after_request(strip))

    apply.__name__ = "cookies_without_" + attribute.strip("; _-").partition("=")[0].lower()
    return apply


for each in ("; Secure", "; HttpOnly", "; SameSite=Strict"):
    seen_by("test_cookies_are_as_guarded_as_they_get", SESSION)(_without_attribute(each))


@seen_by("test_cookies_are_as_guarded_as_they_get", SESSION)
def the_cookie_is_any_hosts(patch: Patches) -> None:
    patch(session, "COOKIE", "session")


@seen_by("test_the_credential_is_in_no_body_and_no_url", SESSION)
def the_body_tells_the_id(patch: Patches) -> None:
    def log_in(self: Any, *arguments: Any) -> Issued:
        issued = was(self, *arguments)
        return replace(issued, credential={**issued.credential, "id": issued.headers[0][1]})

    was = patch(session.SessionScheme, "log_in", log_in)


@seen_by("test_the_credential_is_in_no_body_and_no_url", SESSION)
def an_id_in_the_url_counts(patch: Patches) -> None:
    def value(environ: Any, name: str) -> str | None:
        return was(environ, name) or was({"HTTP_COOKIE": environ.get("QUERY_STRING", "")}, name)

    was = patch(session, "cookie_value", value)


@seen_by("test_changes_need_the_csrf_token", SESSION)
def any_csrf_token_is_right(patch: Patches) -> None:
    patch(csrf, "token_is_right", lambda *_: True)


@seen_by("test_changes_need_the_csrf_token", SESSION)
def other_sites_may_ask(patch: Patches) -> None:
    patch(csrf, "is_cross_site", lambda _: False)


@seen_by("test_changes_need_the_csrf_token", SESSION)
def one_csrf_token_for_everybody(patch: Patches) -> None:
    patch(csrf, "token_for", lambda key, _: segment(key))


@seen_by("test_get_changes_nothing", SESSION)
def a_link_signs_out(patch: Patches) -> None:
    def add(app: Flask) -> None:
        app.add_url_rule("/logout", "by_link", app.view_functions["logout"], methods=["GET"])

    patch.after.append(add)


def _without_header(name: str) -> Callable[[Flask], object]:
    def strip(response: flask.Response) -> flask.Response:
        response.headers.pop(name, None)
        return response

    return lambda app: app.after_request(strip)


@seen_by("test_no_answer_is_cached", SESSION)
def answers_may_be_cached(patch: Patches) -> None:
    patch.after.append(_without_header("Cache-Control"))


@seen_by("test_logout_clears_the_site", SESSION)
def logout_leaves_the_site(patch: Patches) -> None:
    patch.after.append(_without_header("Clear-Site-Data"))


def _accept_if(patch: Patches, lets_in: Callable[[Any, dict[str, Any], dict[str, Any], str], bool]) -> None:
    """Let in what the verifier refused if `lets_in(verifier, header, claims, text)`."""

    def verify(self: Any, text: str) -> Any:
        try:
            return was(self, text)
        except tokens.InvalidTokenError:
            try:
                header, claims = opened(text)
                if lets_in(self, header, claims, text):
                    return claims
            except (ValueError, AttributeError, TypeError, KeyError, OSError, jwt.PyJWTError):
                pass
            raise

    was = patch(tokens.TokenVerifier, "verify", verify)


def _is_signed(verifier: Any, text: str) -> bool:
    """By the server's present key, whatever else is wrong."""
    signed, _, signature = text.rpartition(".")
    (key, *_) = verifier._keys.current().verifying.values()
    return bool(key.verifies(signed.encode(), jwt.utils.base64url_decode(signature)))


def _is_hmac(text: str, key: bytes) -> bool:
    signed, _, signature = text.rpartition(".")
    algorithm = jwt.get_algorithm_by_name("HS256")
    return algorithm.verify(signed.encode(), key, jwt.utils.base64url_decode(signature))


@seen_by("test_a_signature_is_required_and_right", TOKEN)
def any_signature_will_do(patch: Patches) -> None:
    patch(tokens, "check_signature", lambda *_: None)


@seen_by("test_no_other_algorithm", TOKEN)
def the_header_may_name_any_algorithm(patch: Patches) -> None:
    _accept_if(patch, lambda verifier, header, _, text: header["alg"] != "none" and _is_signed(verifier, text))


@seen_by("test_none_in_any_spelling_is_refused", TOKEN)
def none_is_an_algorithm_if_spelt_oddly(patch: Patches) -> None:
    _accept_if(patch, lambda _, header, __, ___: header["alg"] != "none" and header["alg"].lower() == "none")


@seen_by("test_no_hmac_with_a_public_key", RSA_TOKEN)
def a_public_key_is_a_secret(patch: Patches) -> None:
    def lets_in(verifier: Any, header: dict[str, Any], _: dict[str, Any], text: str) -> bool:
        (public, *_) = verifier._keys.current().public
        key = jwt.get_algorithm_by_name("RS256").from_jwk(dict(public))
        return header["alg"] == "HS256" and _is_hmac(
            text, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )

    _accept_if(patch, lets_in)


@seen_by("test_a_header_brings_no_key", TOKEN)
def the_header_brings_its_key(patch: Patches) -> None:
    def lets_in(_: Any, header: dict[str, Any], __: dict[str, Any], text: str) -> bool:
        return _is_hmac(text, jwt.utils.base64url_decode(header["jwk"]["k"]))

    _accept_if(patch, lets_in)


@seen_by("test_a_kid_is_a_name_alone", TOKEN)
def a_kid_is_a_path(patch: Patches) -> None:
    _accept_if(patch, lambda _, header, __, text: _is_hmac(text, Path(header["kid"]).read_bytes()))


@seen_by("test_an_unknown_crit_is_refused", TOKEN)
def crit_is_not_read(patch: Patches) -> None:
    _accept_if(patch, lambda verifier, header, _, text: "crit" in header and _is_signed(verifier, text))


@seen_by("test_every_claim_is_required", TOKEN)
def a_token_without_jti_counts(patch: Patches) -> None:
    def lets_in(verifier: Any, _: dict[str, Any], claims: dict[str, Any], text: str) -> bool:
        if "jti" in claims or not _is_signed(verifier, text):
            return False
        claims["jti"] = ""
        return True

    _accept_if(patch, lets_in)


@seen_by("test_every_claim_is_checked", TOKEN)
def times_are_not_checked(patch: Patches) -> None:
    patch(tokens, "check_times", lambda _: None)


@seen_by("test_every_claim_is_checked", TOKEN)
def any_audience_will_do(patch: Patches) -> None:
    _accept_if(patch, lambda verifier, _, claims, text: claims["aud"] == "another" and _is_signed(verifier, text))


@seen_by("test_one_kind_of_token_is_not_another", TOKEN)
def any_type_of_token_counts(patch: Patches) -> None:
    _accept_if(patch, lambda verifier, header, _, text: header["typ"] != "at+jwt" and _is_signed(verifier, text))


@seen_by("test_errors_are_those_of_rfc_6750", TOKEN)
def errors_name_no_error(patch: Patches) -> None:
    patch(token.TokenScheme, "_invalid", lambda _, reason: NotAuthenticatedError(reason, 'Bearer realm="authscale"'))


@seen_by("test_a_token_in_a_query_string_or_a_form_is_none", TOKEN)
def a_query_string_carries_a_token(patch: Patches) -> None:
    was = patch(
        token.TokenScheme, "_carried",
        lambda self, environ: flask.request.args.get("access_token") or was(self, environ),
    )  # fmt: skip


@seen_by("test_keys_are_strong_and_no_weak_one_counts", TOKEN)
def a_forgotten_test_key_counts(patch: Patches) -> None:
    _accept_if(patch, lambda _, __, ___, text: _is_hmac(text, b"secret"))


@seen_by("test_keys_are_strong_and_no_weak_one_counts", RSA_TOKEN)
def the_private_key_is_published(patch: Patches) -> None:
    was = patch(token.TokenScheme, "jwks", lambda self: [{**each, "d": "AQ"} for each in was(self)])


@seen_by("test_keys_rotate_and_the_old_ones_tokens_still_count", TOKEN)
def keys_are_read_once(patch: Patches) -> None:
    patch(KeyRing, "_look", lambda _: None)


@seen_by("test_keys_rotate_and_the_old_ones_tokens_still_count", TOKEN)
def the_first_key_alone_verifies(patch: Patches) -> None:
    def current(self: Any) -> Any:
        keys = was(self)
        first = keys.signing.kid
        return replace(keys, verifying={first: keys.verifying[first]})

    was = patch(KeyRing, "newest", current)
    patch(KeyRing, "current", current)


@seen_by("test_a_refresh_token_works_once", HYBRID)
def a_refresh_token_stays_good(patch: Patches) -> None:
    patch(hybrid.HybridScheme, "_rotate", lambda *_: True)


@seen_by("test_a_second_use_ends_the_family", HYBRID)
def a_second_use_is_just_refused(patch: Patches) -> None:
    def used_before(*_: Any) -> Issued:
        raise NotAuthenticatedError("used before", "Bearer")

    patch(hybrid.HybridScheme, "_used_before", used_before)


@seen_by("test_of_parallel_refreshes_one_wins", HYBRID)
def rotation_reads_then_writes(patch: Patches) -> None:
    def rotate(self: Any, found: Any, *arguments: Any) -> bool:
        time.sleep(0.05)  # as long as a busy store may take between the two
        return bool(was(self, self._store.load(found.id, None), *arguments))

    was = patch(hybrid.HybridScheme, "_rotate", rotate)


@seen_by("test_refreshing_does_not_put_the_end_off", HYBRID)
def refreshing_puts_the_end_off(patch: Patches) -> None:
    _after_init(patch, hybrid.HybridScheme, lambda scheme: setattr(scheme, "_absolute_s", 10**6))


@seen_by("test_revocation_by_user_ends_every_family", HYBRID)
def families_outlive_revocation(patch: Patches) -> None:
    patch(hybrid.HybridScheme, "log_out_everywhere", lambda *_: 0)


def _after_init(patch: Patches, scheme: Any, then: Callable[[Any], object]) -> None:
    def init(self: Any, *arguments: Any) -> None:
        was(self, *arguments)
        then(self)

    was = patch(scheme, "__init__", init)
