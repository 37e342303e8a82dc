"""The HTML report in a real browser: nothing sticks out, no console error, no request."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape

import pytest
from made_runs import compared, write_run
from PIL import Image

from longtail.report.html import build_page
from longtail.report.html.runs import Member

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH to open the report in")

DEVICE = """<!doctype html>
<meta charset="utf-8"><meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">
<style>body {{ margin: 0 }} iframe {{ display: block; border: 0; width: {width}px; height: 900px }}</style>
<iframe srcdoc="{page}"></iframe>
<script>
onload = () => {{
  const page = frames[0].document, style = each => frames[0].getComputedStyle(each);
  page.querySelectorAll("details:not([open]) > summary").forEach(each => each.click());
  const scrolls = each => each && (style(each).overflowX != "visible" || scrolls(each.parentElement));
  const sticksOut = each => !scrolls(each.parentElement) && each.getBoundingClientRect().right > {width} + .5;
  const fetched = frames[0].performance.getEntriesByType("resource").filter(each => !each.name.startsWith("data:"));
  const found = {{
    wider: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    closed: page.querySelectorAll("details:not([open])").length,
    sticksOut: [...page.querySelectorAll("main *")].filter(sticksOut).length,
    fetched: fetched.length,
    broken: [...page.images].filter(each => !each.naturalWidth).length,
  }};
  document.title = JSON.stringify(found);
}};
</script>"""
"""A device of a width that no window has. It opens what is folded in the page, which keeps its own policy, and tells in its
title what is wrong: by how much the page is wider, how many folds stay closed, elements stick out, requests are made and images
are broken."""

FINE = {"wider": 0, "closed": 0, "sticksOut": 0, "fetched": 0, "broken": 0}

NAMES = ("a class name as long as some are", "Bewegungsmelderabdeckung", "emu")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of a few runs, of runs that are folded away, and of a comparison."""
    folder = tmp_path_factory.mktemp("runs")
    few = [write_run(folder / name, seed=seed) for seed, name in enumerate(("plain", "better"))]
    many = [write_run(folder / f"run {at}", [f"digit {at}" for at in range(20)], [9] * 20, seed=at) for at in range(5)]
    methods = ("erm", "a-loss-with-a-long-name+sampling", "bs")
    seeds = [
        write_run(folder / f"{method}-seed{seed}", NAMES, seed=seed, member=Member(method, seed))
        for method in methods
        for seed in range(2)
    ]
    return {"few": build_page(few), "folded": build_page(many), "comparison": build_page(seeds, compared(methods))}


@pytest.fixture
def browse(tmp_path):
    """Opens a page on a device, as a flag of the browser says, and returns what that prints."""

    def call(page, width, flag, *, dark=False):
        (tmp_path / "device.html").write_text(DEVICE.format(width=width, page=escape(page)))
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        flags += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1500,900", "--enable-logging=stderr"]
        flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
        words = [BROWSER, *flags, flag, (tmp_path / "device.html").as_uri()]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        assert "CONSOLE" not in ended.stderr
        return ended.stdout

    return call


def wrong(document):
    """What a device told."""
    return json.loads(re.search("<title>(.*?)</title>", document)[1])


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [
        ("few", 360, False),
        ("few", 1000, True),
        ("folded", 360, True),
        ("folded", 1400, False),
        ("comparison", 360, True),
        ("comparison", 1400, False),
    ],
)
def test_a_browser_shows_it_without_overflow_requests_or_errors(tmp_path, browse, pages, name, width, dark):
    assert wrong(browse(pages[name], width, "--dump-dom", dark=dark)) == FINE
    browse(pages[name], width, f"--screenshot={tmp_path / 'page.png'}", dark=dark)
    with Image.open(tmp_path / "page.png") as picture:
        assert (picture.getpixel((2, 2))[0] < 60) == dark


@pytest.mark.parametrize("name", ["folded", "comparison"])
def test_nothing_sticks_out_of_a_printed_page(browse, pages, name):
    on_paper = pages[name].replace("@media print", "@media all").replace("@media screen", "@media not all")
    assert wrong(browse(on_paper, 700, "--dump-dom")) == FINE


def test_what_is_wrong_is_found(browse):
    wide = '<p style="width: 400px">wide</p><img src="data:image/png;base64,AAAA"><details><summary>a</summary></details>'
    found = wrong(browse(f"<!doctype html><main>{wide}</main>", 360, "--dump-dom"))
    assert found == {**FINE, "wider": 48, "sticksOut": 1, "broken": 1}
