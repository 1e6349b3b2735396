"""The picture of the page that README shows: ``python -m benchmarks.screenshot [docs/page.png]``.

Sounds are made, indexed and served, and Chromium (``/usr/bin/chromium``) opens the page at what is asked.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import FAMILIES, make_sound
from echoic.server.running import Server
from echoic.server.settings import Settings

CHROMIUM = "/usr/bin/chromium"
RATE = 32_000
TAKES = 6
SIZE = {"width": 1000, "height": 700}


def main() -> None:
    """Make the picture, and say how large it is."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/page.png")
    with tempfile.TemporaryDirectory() as home:
        sounds = Path(home) / "sounds"
        make_sounds(sounds)
        with Library(Path(home) / "library") as library:
            library.index([sounds], encoders=["sound", "events"])
        begun = threading.Event()
        server = Server(Settings(Path(home) / "library", port=0), lambda _: begun.set())
        serving = threading.Thread(target=server.run)
        serving.start()
        try:
            begun.wait()
            take(server.address, target)
        finally:
            server.should_exit = True
            serving.join()
    print(f"{target}: {target.stat().st_size:,} bytes")


def make_sounds(folder: Path) -> None:
    """Write some sounds of each family, and a morning in which birds call."""
    for family in FAMILIES:
        (folder / family).mkdir(parents=True)
        for number in range(TAKES):
            sound = make_sound(family, number, sample_rate=RATE)
            write_audio(folder / family / f"{family.rstrip('s')}-{number + 1}.flac", sound, RATE)
    rng = np.random.default_rng(1)
    morning = rng.normal(0, 0.004, 90 * RATE).astype(np.float32)
    for at in np.cumsum(rng.uniform(4, 9, 12)):
        bird = make_sound("birds", 3, sample_rate=RATE) * rng.uniform(0.4, 0.9)
        here = morning[round(at * RATE) :][: len(bird)]
        here += bird[: len(here)]
    (folder / "field").mkdir()
    write_audio(folder / "field" / "morning in the woods.flac", morning, RATE)


def take(address: str, target: Path) -> None:
    """Ask for birds, open the spectrum of the first, play it, and take the picture."""
    from playwright.sync_api import sync_playwright

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.goto(f"{address}/?text=a+bird+singing&k=8")
        for number in range(3):
            page.locator(".row").nth(number).locator("canvas").first.wait_for()
        first = page.locator(".row").first
        first.get_by_role("button", name="Play").click()
        page.wait_for_function("() => audio.currentTime > 0.2 && !audio.paused")
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main()
