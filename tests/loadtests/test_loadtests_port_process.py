"""A child that says its port: it dies, and that is said; it ends when it is asked to."""

import pytest

from loadtests.port_process import PortProcess
from topology.process import ComponentError
from topology.reaper import Reaper


def test_one_that_dies_before_its_port_is_named_with_its_status():
    with Reaper() as reaper, pytest.raises(ComponentError, match=r"capturing_proxy died \(exit status 2\)$"):
        PortProcess("loadtests.capturing_proxy", "no-port", "folder", reaper=reaper)


def test_one_that_is_asked_to_ends():
    with Reaper() as reaper, PortProcess("loadtests.calibration_server", "constant", reaper=reaper) as server:
        server.check()
        assert b'"requests": 0' in server.end()
        with pytest.raises(ComponentError, match=r"exit status 0"):
            server.check()
