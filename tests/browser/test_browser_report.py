"""The report in a real browser: for the eye, the keyboard, a screen reader, a phone, and paper.

What depends on a machine's fonts is not compared with pictures: layout is measured (nothing too wide, no text on
another, which the widest common font, DejaVu Sans, keeps as well), and the pictures are of panels without their text.
"""

import base64
import io
import json
import os
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from analysis.report.__main__ import main as report
from analysis.site import main as site
from analysis.synthetic import Plan, write_run
from loadtests.chromium import Chromium
from topology.reaper import Reaper

GOLDEN = Path(__file__).parent / "golden"
WIDE, PHONE, PAPER = 1280, 390, 700
STORES = ("memory", "file", "sqlite", "postgres", "redis", "redis-cluster", "memcached", "replicated")
PAGES = (
    "quick/report.html",
    "stores/report.html",
    "full/report.html",
    "site/compare-early-quick/compare.html",
    "index.html",
)
TEXTS_THAT_TOUCH = """
[...document.querySelectorAll('.panel svg')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim());
  const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
  const touch = (p, q) => Math.min(p.right, q.right) - Math.max(p.left, q.left) > -2
    && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 3;
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) => touch(p, q))
    .map(([b]) => svg.getAttribute('aria-label').slice(0, 40) + ': ' + a + ' / ' + b));
})"""


class Tab:
    """The browser's tab, with what these tests ask of it."""

    def __init__(self, chromium: Chromium, results: Path) -> None:
        self._chromium, self._results = chromium, results
        self.ask = chromium.evaluate

    def open(self, page, width=WIDE, scheme="light", media="screen"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
        self._chromium._call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._chromium._call("Emulation.setEmulatedMedia", media=media, features=features)
        self._chromium.open((self._results / page).as_uri())

    def press(self, key, code, text=""):
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if kind == "keyDown" and text else {}
            self._chromium._call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed)

    def picture(self, width, height):
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        data = self._chromium._call("Page.captureScreenshot", clip=clip)["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def pdf(self):
        return base64.b64decode(self._chromium._call("Page.printToPDF", printBackground=True)["data"])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for name, plan in {
        "early": Plan(seed=3),
        "quick": Plan(),
        "stores": Plan(
            blocks=2,
            series=(("control", "none"), *(("session", store) for store in STORES), ("token", "none")),
            extra=tuple(("session", store, {"touch": "never"}) for store in STORES),
        ),
        "full/quick": Plan(blocks=2),
    }.items():
        run = write_run(folder / name, plan)
        document = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(document | {"id": name, "started": f"2026-11-23T20:0{len(name)}:02Z"}))
    part = {"name": "quick", "experiment": "quick", "changes": {}, "finished": "2026-11-23T20:03:41Z"}
    facts = {"format": 1, "id": "full", "suite": "full", "title": "Everything", "profile": None, "started": "2026"}
    (folder / "full/suite.json").write_text(json.dumps({**facts, "parts": [part]}))
    for name in ("early", "quick", "stores", "full"):
        assert report(["--run", str(folder / name), "--quiet"]) == 0
    assert site(["--results", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def tab(browser, results):
    assert browser.version
    with Reaper() as reaper, Chromium(reaper.folder / "profile", (), (), reaper) as chromium:
        yield Tab(chromium, results)


@pytest.mark.parametrize("page", [page for page in PAGES if "stores" not in page])  # long, and nothing new to axe
@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_axe_finds_nothing(tab, page, width, scheme):
    tab.open(page, width, scheme)
    tab.ask(files("axe_core_python").joinpath("axe.min.js").read_text())
    found = tab.ask(
        "axe.run().then(found => found.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]))"
    )
    assert found == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wider_than_a_phone(tab, page):
    tab.open(page, PHONE)
    assert tab.ask("document.documentElement.scrollWidth") == PHONE


@pytest.mark.parametrize("page", PAGES[:3])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_no_text_of_a_panel_stands_on_another(tab, page, width):
    tab.open(page, width)
    assert tab.ask("document.querySelectorAll('.panel svg text').length") > 10
    assert tab.ask(TEXTS_THAT_TOUCH) == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_cut_on_paper(tab, page):
    tab.open(page, PAPER, "dark", "print")
    tables = (
        "[...document.querySelectorAll('table, .panel')].filter(t => t.getBoundingClientRect().right > innerWidth + 1)"
    )
    assert tab.ask(f"{tables}.map(t => t.textContent.slice(0, 80))") == []
    assert tab.ask("getComputedStyle(document.documentElement).getPropertyValue('--paper').trim()") == "#ffffff"
    assert tab.pdf().startswith(b"%PDF")


def test_a_table_is_sorted_by_the_keyboard(tab):
    tab.open("quick/report.html")
    column = (
        "[...document.querySelector('#metrics table').tBodies[0].rows].map(row => parseFloat(row.cells[1].textContent))"
    )
    before = tab.ask(column)
    heading = "document.querySelector('#metrics table th:nth-child(2)')"
    tab.ask(f"{heading}.querySelector('button').focus()")
    for state, wanted in (("ascending", sorted(before)), ("descending", sorted(before, reverse=True)), (None, before)):
        tab.press("Enter", 13, "\r")
        assert tab.ask(f"{heading}.getAttribute('aria-sort')") == state
        assert tab.ask(column) == wanted


def test_without_scripts_everything_is_there(tab, results):
    for page in ("quick/report.html", "index.html"):
        text = re.sub(r"<script>.*?</script>", "", (results / page).read_text(), flags=re.DOTALL)
        (results / page.replace(".html", "-plain.html")).write_text(text)
    tab.open("quick/report-plain.html")
    assert tab.ask("document.querySelectorAll('table button').length") == 0
    assert tab.ask("document.querySelectorAll('table tbody tr').length") > 50
    tab.open("index-plain.html")
    assert tab.ask("document.querySelector('.pick').hidden")
    assert tab.ask("document.querySelector('.pairs a').checkVisibility()")


def test_two_runs_are_picked_on_the_site(tab, results):
    tab.open("index.html")
    said = "document.querySelector('.pick [role=status]')"
    link = tab.ask(f"{said}.querySelector('a').getAttribute('href')")
    assert (results / link).is_file()
    tab.ask(
        "{ const [a, b] = document.querySelectorAll('.pick select'); a.value = b.value;"
        " a.dispatchEvent(new Event('change', {bubbles: true})) }"
    )
    assert tab.ask(f"{said}.textContent") == "Choose two."


def test_a_figure_hands_out_what_it_shows(tab, results):
    tab.open("quick/report.html")
    text = tab.ask("fetch(document.querySelector('#figure-latency a[download]').href).then(answer => answer.text())")
    rows = [line.split(",") for line in text.splitlines()]
    summary = json.loads((results / "quick/summary.json").read_text())
    cell = next(each for each in summary["cells"] if each["id"] == "token-none-4r-roundrobin")
    told = next(row for row in rows if row[:2] == ["response p50 (ms)", "token"] and row[4] == "4")
    figure = cell["metrics"]["response_p50_ms"]
    assert [float(each) for each in told[7:]] == pytest.approx(
        [figure[end] for end in ("value", "low", "high")], rel=1e-4
    )


@pytest.mark.parametrize("page", ["quick/report.html", "stores/report.html"])
def test_it_is_small_enough_to_send(results, page):
    assert (results / page).stat().st_size < 5_000_000


@pytest.mark.parametrize("figure", ["latency", "auth", "cpu", "noise"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_panels_look_as_they_did(tab, figure, scheme):
    tab.open("quick/report.html", scheme=scheme)
    tab.ask(
        f"{{ const svg = document.querySelector('#figure-{figure} .panel svg'); document.body.replaceChildren(svg);"
        "document.body.style.cssText = 'margin:0;padding:0'; svg.style.width = '360px';"
        "svg.querySelectorAll('text').forEach(text => text.remove()) }"
    )
    height = round(tab.ask("document.querySelector('svg').getBoundingClientRect().height"))
    now = tab.picture(360, height)
    path = GOLDEN / f"{figure}-{scheme}.png"
    if os.environ.get("AUTHSCALE_NEW_GOLDEN"):
        now.quantize(64).save(path, optimize=True)
    then = Image.open(path).convert("RGB")
    assert now.size == then.size
    blurred = [np.asarray(each.filter(ImageFilter.GaussianBlur(1.5)), float) for each in (now, then)]
    far = np.abs(blurred[0] - blurred[1]).max(axis=2) > 40
    assert far.mean() < 0.002
