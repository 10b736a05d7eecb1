"""That clients differ in what HPACK may remember is no guess: this one indexes what curl never does."""

import hpack
import pytest

from loadtests.chromium import Chromium, pin
from tests.loadtests.counting_server import CountingServer
from topology.reaper import Reaper

TOKEN = "Bearer " + "eyJhbGciOiJIUzI1NiJ9." * 15


@pytest.mark.usefixtures("browser")
def test_chromium_indexes_a_bearer(tmp_path):
    server = CountingServer(tmp_path)
    with Reaper() as reaper:
        profile, pins = reaper.folder / "profile", (pin(server.certificate.server),)
        with Chromium(profile, ("bank.test",), pins, reaper) as chromium:
            chromium.open(f"https://bank.test:{server.url.rpartition(':')[2]}/")
            ask = f"fetch('/me', {{headers: {{Authorization: '{TOKEN}'}}}}).then(answer => answer.status)"
            assert [chromium.evaluate(ask) for _ in range(3)] == [200] * 3
    server.close()
    decoder = hpack.Decoder()
    sizes = []
    for block in server.blocks:
        fields = dict(decoder.decode(block))
        if fields[":path"] == "/me":
            assert fields["authorization"] == TOKEN
            sizes.append(len(block))
    assert len(sizes) == 3
    assert sizes[0] > 250
    assert max(sizes[1:]) < 100
