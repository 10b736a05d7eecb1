"""Each check of the checklists fails against a server that is broken on purpose, in the way that it is there for."""

import contextlib
import dataclasses
import functools
from pathlib import Path

import pytest

from tests.security.broken.mutations import MUTATIONS
from tests.security.checklist import checks
from tests.security.systems import Launcher

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def broken_by(tmp_path_factory):
    path = tmp_path_factory.mktemp("broken") / "by"
    path.write_text("")
    return path


@pytest.fixture(scope="session")
def broken_launcher(tmp_path_factory, reaper, broken_by):
    def adapt(component):
        *argv, app = component.argv
        if app != "servers.wsgi:app":  # no assertion: that is what a check's failure is known by
            raise RuntimeError(app)
        env = {**component.env, "BROKEN_BY": str(broken_by), "PYTHONPATH": str(ROOT)}
        return dataclasses.replace(component, argv=(*argv, "tests.security.broken.app:app"), env=env)

    return Launcher(tmp_path_factory.mktemp("systems"), reaper, adapt)


@pytest.fixture(scope="session")
def broken_system(broken_launcher):
    """A system of the kind; each runs from when it is first asked for until the end."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda kind: stack.enter_context(broken_launcher.running(kind)))


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_the_check_sees_it(broken_system, broken_by, name):
    mutation = MUTATIONS[name]
    check, system = checks()[mutation.check], broken_system(mutation.kind)
    assert mutation.kind in check.kinds
    broken_by.write_text(name)
    try:
        with pytest.raises(AssertionError):
            check.test(system)
    finally:
        broken_by.write_text("")


def test_every_check_has_been_seen_to_fail():
    assert {mutation.check for mutation in MUTATIONS.values()} == set(checks())
