"""The engine as a swarm of one node: what is made is undone, and what cannot be is refused in one line."""

import os
from pathlib import Path

import pytest

from topology.binaries import BinaryError
from topology.process import ComponentError
from topology.swarm import engine
from topology.swarm.stack import Stack

# $SAID is what it answers to `info`, $NODES to `node ls`, $LABELS to `node inspect`; $TOLD is where its calls are kept
FAKE = """#!/bin/sh
echo "$*" >>"$TOLD"
case "$1 $2" in
  "info "*) echo "$SAID" ;;
  "node ls") echo "$NODES" ;;
  "node inspect") echo "$LABELS" ;;
  "swarm leave") [ "$(grep -c 'swarm leave' "$TOLD")" -ge "${LEAVES:-1}" ] || { echo deadline exceeded >&2; exit 1; } ;;
  "secret create") echo "no such swarm" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the calls of a stand-in for docker are kept, which is in no swarm, until a test says so."""
    (tmp_path / "docker").write_text(FAKE)
    (tmp_path / "docker").chmod(0o755)
    values = {"SAID": "inactive false", "NODES": "n1", "LABELS": "{}", "TOLD": str(tmp_path / "told")}
    for name, value in (*values.items(), ("PATH", f"{tmp_path}:{os.environ['PATH']}")):
        monkeypatch.setenv(name, value)
    return tmp_path / "told"


def calls(told: Path, *of: str) -> list[str]:
    return [line for line in told.read_text().splitlines() if line.startswith(of)]


def test_a_swarm_that_was_made_is_left(told: Path) -> None:
    with pytest.raises(ZeroDivisionError), engine.one_node() as node:
        assert 1 / (node != "n1")
    made, *_, left = calls(told, "swarm")
    assert "--advertise-addr 127.0.0.1" in made, "nobody else may join it"
    assert left == "swarm leave --force"


def test_leaving_is_tried_again(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVES", "2")
    with engine.one_node():
        pass
    assert len(calls(told, "swarm leave")) == 2
    monkeypatch.setenv("LEAVES", "9")
    with pytest.raises(ComponentError, match="deadline exceeded"), engine.one_node():
        pass


def test_a_swarm_that_was_there_stays_and_its_labels_with_it(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAID", "active true")
    monkeypatch.setenv("LABELS", '{"authscale.load":"true","zone":"a"}')
    with engine.one_node():
        pass
    assert not calls(told, "swarm")
    given, taken = calls(told, "node update")
    assert given == "node update --label-add=authscale.replicas=true --label-add=authscale.backing=true n1"
    assert taken == "node update --label-rm=authscale.replicas --label-rm=authscale.backing n1"


@pytest.mark.parametrize(
    ("said", "nodes", "why"),
    [
        ("active true", "n1\nn2\nn3", "this swarm has 3 nodes, and the check is for one"),
        ("active false", "n1", "a swarm that it cannot steer"),
        ("locked false", "n1", "a swarm that it cannot steer"),
    ],
)
def test_another_swarm_is_refused(said: str, nodes: str, why: str, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAID", said)
    monkeypatch.setenv("NODES", nodes)
    with pytest.raises(BinaryError, match=why), engine.one_node():
        pass
    assert not calls(told, "swarm", "node update")


def test_a_stack_without_its_secrets_is_not_deployed(told: Path) -> None:
    with pytest.raises(ComponentError, match="make-secrets failed:\n  no such swarm"), Stack("mine", {}):
        pass
    assert not calls(told, "stack deploy")
    assert calls(told, "stack rm") == ["stack rm mine"]
