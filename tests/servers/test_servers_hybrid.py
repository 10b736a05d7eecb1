"""The hybrid scheme beside moments that no client can time: stale copies, changes in between, limits of its options."""

import dataclasses

import pytest

from servers.scheme import ConflictError, NotAuthenticatedError
from servers.schemes.hybrid import HybridScheme
from servers.settings import Settings, SettingsError
from servers.stores.memory import MemoryStore
from servers.users import Account

GRACE = Account("user-00001", "reader", "")


class Interposed(MemoryStore):
    """Runs something once between a load and what follows; or shows an old copy, as a lagging replica does."""

    between = None
    stale = ()

    def load(self, id_, idle_s):
        found = super().load(id_, idle_s)
        if self.stale:
            self.stale, (found, *_) = self.stale[1:], self.stale
        between, self.between = self.between, None
        if between:
            between()
        return found


def scheme_on(environ, store, **variables):
    return HybridScheme(Settings.from_environ(environ | {"AUTH_SCHEME": "hybrid"} | variables), store)


@pytest.fixture
def store():
    return Interposed()


@pytest.fixture
def hybrid(environ, store):
    return scheme_on(environ, store)


def identity_of(hybrid, credential):
    return hybrid.authenticate({"HTTP_AUTHORIZATION": f"Bearer {credential['access_token']}"})


def test_a_profile_change_in_the_middle_of_a_refresh_is_no_second_use(hybrid, store):
    credential = hybrid.log_in(GRACE, {}).credential
    identity = identity_of(hybrid, credential)
    store.between = lambda: hybrid.change(identity, "Grace")
    renewed = hybrid.refresh(credential["refresh_token"], {}).credential
    assert (identity_of(hybrid, renewed).display_name, identity_of(hybrid, renewed).serial) == ("Grace", 1)
    assert hybrid.refresh(renewed["refresh_token"], {})


def test_a_refresh_in_the_middle_of_a_profile_change_is_a_conflict(hybrid, store):
    credential = hybrid.log_in(GRACE, {}).credential
    store.between = lambda: hybrid.refresh(credential["refresh_token"], {})
    with pytest.raises(ConflictError):
        hybrid.change(identity_of(hybrid, credential), "Grace")


def test_a_sign_out_in_the_middle_of_a_refresh_wins(hybrid, store):
    credential = hybrid.log_in(GRACE, {}).credential
    identity = identity_of(hybrid, credential)
    store.between = lambda: hybrid.log_out(identity)
    with pytest.raises(NotAuthenticatedError):
        hybrid.refresh(credential["refresh_token"], {})
    assert hybrid.sessions(identity) == []


def test_a_copy_that_lags_ends_no_family(hybrid, store):
    first = hybrid.log_in(GRACE, {}).credential
    id_ = identity_of(hybrid, first).sign_in
    old = store.load(id_, None)
    second = hybrid.refresh(first["refresh_token"], {}).credential
    store.stale = (old, old)  # as read from a replica that has not heard of the rotation
    third = hybrid.refresh(second["refresh_token"], {}).credential
    assert hybrid.refresh(third["refresh_token"], {})
    store.stale = (old,) * 10
    with pytest.raises(ConflictError):
        hybrid.refresh(third["refresh_token"], {})
    store.stale = ()
    assert store.load(id_, None) is not None


def test_no_access_token_outlives_the_idle_limit_or_the_end(environ, store):
    brief = scheme_on(environ, store, SESSION_IDLE_SECONDS="60", ACCESS_TTL_SECONDS="3600")
    assert brief.log_in(GRACE, {}).credential["expires_in"] == 60
    short = scheme_on(environ, store, SESSION_IDLE_SECONDS="5", SESSION_ABSOLUTE_SECONDS="5")
    assert short.log_in(GRACE, {}).credential["expires_in"] <= 5


def test_a_sign_in_past_its_end_is_gone(hybrid, store):
    credential = hybrid.log_in(GRACE, {}).credential
    identity = identity_of(hybrid, credential)
    record = store.load(identity.sign_in, None)
    assert store.update(record, dataclasses.replace(record, expires=record.created - 1), 60)
    with pytest.raises(NotAuthenticatedError):
        hybrid.change(identity, "x")
    assert hybrid.sessions(identity) == []
    with pytest.raises(NotAuthenticatedError):
        hybrid.refresh(credential["refresh_token"], {})
    assert store.load(identity.sign_in, None) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"ACCESS_TTL_SECONDS": "0"},
        {"ACCESS_TTL_SECONDS": "3601"},
        {"REFRESH_GRACE_SECONDS": "61"},
        {"REFRESH_GRACE_SECONDS": "-1"},
        {"TOKEN_ALGORITHM": "none"},
    ],
    ids=str,
)
def test_options_out_of_range_are_named(environ, wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings.from_environ(environ | {"AUTH_SCHEME": "hybrid"} | wrong)
