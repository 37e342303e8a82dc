"""The HTML report in a real browser: no overflow, no console error, no request."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from made_runs import write_run
from PIL import Image

from longtail.report.html import build_page


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return build_page([write_run(folder / name, seed=seed) for seed, name in enumerate(("plain", "better"))])


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
MEASURE = """<script>
document.body.style.width = "WIDTHpx";
document.querySelectorAll("details").forEach(each => each.open = true);
const fetched = performance.getEntriesByType("resource").filter(each => !each.name.startsWith("data:"));
const broken = [...document.images].filter(each => !each.naturalWidth);
document.title = [document.body.scrollWidth, fetched.length, broken.length].join(" ");
</script>"""
"""Makes the body as wide as a phone and tells, in the title, its width with all that sticks out, requests and broken images."""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH to open the report in")
@pytest.mark.parametrize(("width", "dark"), [(360, False), (1000, True)], ids=["phone", "dark"])
def test_a_browser_shows_it_without_overflow_requests_or_errors(tmp_path, text, width, dark):
    # windows cannot be as narrow as a phone, the body can; what measures it would not run under the page's own policy
    measure = MEASURE.replace("WIDTH", str(width)) + "</body>"
    measured = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", measure)
    (tmp_path / "measured.html").write_text(measured)
    (tmp_path / "page.html").write_text(text)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900", "--enable-logging=stderr"]
    flags += ["--blink-settings=preferredColorScheme=0"] if dark else []

    def browse(*words):
        return subprocess.run([BROWSER, *flags, *words], capture_output=True, text=True, timeout=60, check=True)

    found = browse("--dump-dom", (tmp_path / "measured.html").as_uri())
    assert re.search(r"<title>([\d ]+)</title>", found.stdout)[1] == f"{width} 0 0"
    picture = tmp_path / "page.png"
    shown = browse(f"--screenshot={picture}", (tmp_path / "page.html").as_uri())
    assert "CONSOLE" not in found.stderr + shown.stderr
    with Image.open(picture) as image:
        assert (image.getpixel((2, 2))[0] < 60) == dark
