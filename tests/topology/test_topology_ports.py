"""Ports are free, distinct, on loopback, and a machine without any gets a clear error."""

import socket

import pytest

from topology import ports


def test_ports_are_distinct_and_can_be_bound():
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        with socket.socket() as probe:
            probe.bind((ports.LOOPBACK, port))


def test_busy_ports_are_passed_over():
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen(1)
        assert not ports._can_bind(taken.getsockname()[1])


def test_a_machine_with_every_port_busy_is_told_so(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen(1)
        busy = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_LOWEST", busy)
        monkeypatch.setattr(ports, "_HIGHEST", busy)
        monkeypatch.setattr(ports, "_TRIES", 1)
        with pytest.raises(ports.NoFreePortError, match=rf"0 of 2 ports .* {busy} .* ss -ltn"):
            ports.free_ports(2)
