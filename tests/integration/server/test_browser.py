"""The page in a browser, as a person uses it: Debian's Chromium, the real service, sounds made here."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from echoic import Library
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound
from echoic.server.keys import Keys
from tests.integration.server.conftest import ODD, RATE
from tests.media import write_picture

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)
CALLS = (4.0, 13.0, 22.0, 34.0)  # s, in wood.flac
WAITS = 10_000  # ms at most, on a machine that is busy


def _missing():
    """Say what is missing, if anything is."""
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed: pip install 'echoic[test]'"
    return "" if CHROMIUM.exists() else f"{CHROMIUM} is not there: apt-get install chromium"


MISSING = _missing()
if os.environ.get("ECHOIC_NEEDS_CHROMIUM"):
    assert not MISSING, MISSING
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture(scope="module")
def home(place, tmp_path_factory):
    """A library of short sounds, a piece, and a wood in which a bird calls four times."""
    home = tmp_path_factory.mktemp("browsed")
    sounds = home / "sounds"
    shutil.copytree(place.sounds, sounds)
    (sounds / "pieces" / "drive-copy.flac").unlink()
    bird = make_sound("birds", 3, sample_rate=RATE)[:RATE]
    wood = np.random.default_rng(0).normal(0, 0.003, 40 * RATE).astype(np.float32)
    for at in CALLS:
        wood[round(at * RATE) :][: len(bird)] += 0.6 * bird
    write_audio(sounds / "wood.flac", wood, RATE)
    write_audio(home / "call.wav", bird, RATE)
    bells, _ = read_audio(sounds / ODD, RATE)
    write_audio(home / "bells.wav", bells, RATE)
    with Library(home / "library") as library:
        library.index([sounds], encoders=["sound", "events", "fingerprint"], jobs=1, tags=["all"])
    return home


@pytest.fixture(scope="module")
def served(serve, home):
    with serve(library=home / "library", folders=(home / "sounds",)) as served:
        yield served


@pytest.fixture(scope="module")
def browser(home):
    from playwright.sync_api import sync_playwright

    heard = f"--use-file-for-fake-audio-capture={home / 'bells.wav'}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, heard])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Open the page of a service: it must ask nobody else, and complain of nothing."""
    contexts, troubles = [], []

    def watch(page, address, allowed):
        def told(message):
            if message.type == "error" and not re.search(allowed, message.text):
                troubles.append(message.text)

        def requested(request):
            if not request.url.startswith((address, "blob:", "data:")):
                troubles.append(request.url)

        page.on("console", told)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", requested)

    def open_(address, asked="", *, allowed="$^", **options):
        context = browser.new_context(**options)
        context.set_default_timeout(WAITS)
        contexts.append(context)
        page = context.new_page()
        watch(page, address, allowed)
        page.goto(address + "/" + asked)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def page(opened, served):
    page = opened(served.address)
    page.locator(".row canvas").first.wait_for()
    return page


def names(page):
    return page.locator(".row h2").all_inner_texts()


def search(page, words):
    page.get_by_label("Words", exact=True).fill(words)
    page.keyboard.press("Enter")
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()


def row(page, name):
    return page.locator(".row", has=page.get_by_role("heading", name=name))


def drag(page, wave, start, end):
    """Drag from one share of a waveform to another."""
    wave.locator("canvas").first.wait_for()
    box = wave.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    for share in (0.3, 0.6, 1):
        page.mouse.move(box["x"] + (start + share * (end - start)) * box["width"], y)
    page.mouse.up()


def place_of(page):
    return page.evaluate("() => [audio.currentTime, audio.src, audio.paused]")


def test_words_find_rows_with_waveforms_and_the_span_marked(page):
    search(page, "rain")
    assert {"rain.wav", "quiet.wav"} <= set(names(page)[:3])
    assert page.url.endswith("?text=rain")
    marked = row(page, "rain.wav").locator("[part~=region]")
    marked.first.wait_for()
    assert marked.count() == 1
    assert page.locator("audio").count() == 1
    assert "file" in page.locator("#heading").inner_text()
    heights = []
    for name in ("rain.wav", "quiet.wav"):
        canvas = row(page, name).locator("canvas").first
        canvas.wait_for()
        heights.append(
            canvas.evaluate(
                """canvas => {
                const { width, height } = canvas;
                const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
                const rows = new Set();
                for (let i = 3; i < data.length; i += 4) if (data[i]) rows.add(Math.floor(i / 4 / width));
                return rows.size / height;
            }"""
            )
        )
    assert heights[1] < 0.1 < heights[0]  # a quiet file looks quiet


def test_a_file_is_searched_by_that_is_dropped_or_chosen(page, home):
    page.locator("#picker").set_input_files(home / "bells.wav")
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    [first, *_] = names(page)
    assert first.startswith("100%25 #1? a+b␤ caf")
    page.locator(".example canvas").first.wait_for()
    assert "bells.wav" in page.locator(".example").inner_text()
    page.reload()  # and is still there
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    assert names(page)[0] == first
    dropped = page.evaluate_handle(
        """async () => {
            const data = new DataTransfer();
            const sound = await (await fetch("v1/files?path=*rain.wav")).json();
            const blob = await (await fetch(`v1/files/${sound.files[0].id}/audio`)).blob();
            data.items.add(new File([blob], "dropped.wav"));
            return data;
        }"""
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": dropped})
    assert page.locator("#drop").is_visible()
    page.dispatch_event("h1", "drop", {"dataTransfer": dropped})
    page.locator(".example", has_text="dropped.wav").wait_for()
    page.locator(".row h2", has_text="rain.wav").first.wait_for()
    assert page.locator("#drop").is_hidden()


def test_a_part_of_a_waveform_is_searched_by(page):
    search(page, "bird")
    wood = row(page, "wood.flac")
    drag(page, wood.locator(".wave"), CALLS[1] / 40, (CALLS[1] + 1) / 40)
    wood.get_by_text("Find this part").click()
    page.locator(".example .when").filter(has_text="–").wait_for()
    start, end = (float(re.search(rf"[?&]{name}=([\d.]+)", page.url)[1]) for name in ("start", "end"))
    assert start == pytest.approx(CALLS[1], abs=0.3)
    assert end == pytest.approx(CALLS[1] + 1, abs=0.3)
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    assert "wood.flac" not in names(page)


def test_every_place_is_marked_and_each_is_played_from_its_begin(page, home):
    page.locator("#picker").set_input_files(home / "call.wav")
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    page.get_by_label("Every place").check()
    wood = row(page, "wood.flac")
    places = wood.locator(".places button")
    places.first.wait_for()
    assert places.count() >= 3
    wood.locator("[part~=region]").first.wait_for()
    assert wood.locator("[part~=region]").count() == places.count()
    assert re.search(r"\d+ places in \d+ file", page.locator("#heading").inner_text())
    minutes, seconds = places.nth(2).inner_text().split(":")
    start = 60 * int(minutes) + float(seconds)
    places.nth(2).click()
    page.wait_for_function("() => !audio.paused && audio.currentTime > 0")
    assert place_of(page)[0] == pytest.approx(start, abs=1.5)
    assert place_of(page)[0] >= start - 0.06
    assert wood.get_by_role("button", name="Pause wood.flac").count() == 1
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_function("() => audio.paused")


def test_each_row_plays_from_its_match_by_one_element(page):
    search(page, "an ambulance")
    siren = row(page, "siren.wma")  # which no browser plays as it is
    siren.get_by_role("button", name="Play siren.wma").click()
    page.wait_for_function("() => !audio.paused && audio.currentTime > 0")
    assert "start=0" in place_of(page)[1]
    other = row(page, "rain.wav")
    other.get_by_role("button", name="Play rain.wav").click()
    page.wait_for_function("() => !audio.src.includes('start=0') && !audio.paused")
    assert siren.get_by_role("button", name="Play siren.wma").count() == 1
    assert page.locator("audio").count() == 1


def test_more_and_less_like_this_move_what_is_found(page):
    search(page, "rain")
    row(page, "quiet.wav").get_by_role("button", name="More like quiet.wav").click()
    page.locator(".chip.like").wait_for()
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    row(page, "siren.wma").get_by_role("button", name="Less like siren.wma").click()
    page.locator(".chip.unlike").wait_for()
    assert re.search(r"text=rain&like=\d+%40[\d.]+-[\d.]+&unlike=\d+%40[\d.]+-[\d.]+$", page.url)
    page.locator(".chip.like").click()
    page.locator(".chip.like").wait_for(state="detached")
    assert "&like" not in page.url


def test_what_was_marked_is_kept_as_a_concept_and_found(page, served):
    page.get_by_text("Concept", exact=True).click()
    assert "taught nothing yet" in page.locator("#hint").inner_text()
    page.get_by_text("Sounds", exact=True).click()
    search(page, "a bird")
    row(page, "bird.opus").get_by_role("button", name="More like bird.opus").click()
    page.locator(".chip.like").wait_for()
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    row(page, "rain.wav").get_by_role("button", name="Less like rain.wav").click()
    page.get_by_role("button", name="Keep as a concept").click()
    assert "1 example of it, 1 of what it is not" in page.locator("#keep-what").inner_text()
    page.get_by_label("Name").fill("chirp / tweet")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.locator("#keep").wait_for(state="hidden")
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    assert page.url.endswith("?find=concept&concept=chirp+%2F+tweet")
    assert page.locator("#concept").inner_text() == "chirp / tweet · 1 yes, 1 no"
    assert "bird.opus" in names(page)
    row(page, "bird.opus").get_by_role("button", name="More like bird.opus").click()
    page.get_by_role("button", name="Teach it to chirp / tweet").click()
    page.keyboard.press("Enter")
    page.locator("#keep").wait_for(state="hidden")
    [concept] = served.service.concepts()
    assert (concept.name, concept.no) == ("chirp / tweet", 1)
    page.go_back()
    page.reload()  # and the address tells it still
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    search(page, "a bird")  # words look for sounds again
    assert page.url.endswith("?text=a+bird")
    served.service.forget("chirp / tweet")


def test_all_of_it_goes_by_keys(page):
    page.keyboard.press("/")
    page.keyboard.type("rain")
    page.keyboard.press("Enter")
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => document.activeElement.className") == "row"
    page.keyboard.press("j")
    page.keyboard.press("ArrowUp")
    first = page.locator(".row").first
    assert first.evaluate("one => one === document.activeElement")
    page.keyboard.press("s")
    picture = first.locator(".spectrum img")
    picture.wait_for()
    page.wait_for_function("one => one.naturalWidth === 1200", arg=picture.element_handle())
    assert first.locator(".tick").all_inner_texts() == ["2 kHz", "4 kHz", "6 kHz"]
    page.keyboard.press("Space")
    page.wait_for_function("() => !audio.paused")
    page.keyboard.press("Space")
    page.wait_for_function("() => audio.paused")
    wave = first.locator(".wave")
    wave.focus()
    before = float(wave.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowRight")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    assert float(wave.get_attribute("aria-valuenow")) > before
    assert first.locator(".part").is_visible()
    page.keyboard.press("Enter")
    page.locator(".example").wait_for()
    assert "start=" in page.url
    page.locator("#results").focus()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.get_by_label("Single keys do this").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_hidden()  # as somebody who dictates wants it


def test_back_restores_what_was_asked_and_found_and_where(page):
    search(page, "rain")
    page.get_by_text("Filters").click()
    page.get_by_label("Path").fill("*")
    page.get_by_label("Tag").fill("all")
    page.keyboard.press("Enter")
    page.wait_for_url("**&path=*")
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    found = names(page)
    alike = page.locator(".row").last.get_by_role("button", name="Find like this")
    alike.scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # until what comes into view is drawn
    place = page.evaluate("() => scrollY")
    assert place > 100
    alike.click()
    page.locator(".example canvas").first.wait_for()
    page.go_back()
    page.locator(".example").wait_for(state="hidden")
    page.wait_for_function("place => Math.abs(scrollY - place) < 5", arg=place)
    assert names(page) == found
    assert page.get_by_label("Words", exact=True).input_value() == "rain"
    assert page.locator("#tag").input_value() == "all"


def test_what_cannot_be_is_told_in_a_sentence(opened, served, tmp_path):
    page = opened(served.address, "?text=rain&tag=heard%3Dnothing", allowed="status of 422")
    page.get_by_role("alert").filter(has_text="is no kind of sound").wait_for()
    assert page.locator("#heading").inner_text() == "That did not work"
    (tmp_path / "page.wav").write_text("<html>")
    page.goto(served.address)
    page.locator(".row canvas").first.wait_for()
    page.locator("#picker").set_input_files(tmp_path / "page.wav")
    page.get_by_role("alert").filter(has_text="page.wav").wait_for()
    page.get_by_label("Every place").check()
    page.locator("#picker").set_input_files(
        write_picture(tmp_path / "red.png", np.zeros((8, 8, 3), np.uint8))
    )
    page.get_by_role("alert").filter(has_text="takes pictures").wait_for()
    assert not page.get_by_label("Every place").is_checked()
    page.locator("#picker").set_input_files(tmp_path / "page.wav")
    page.get_by_text("Voice", exact=True).click()
    assert "does not know voices yet" in page.locator("#hint").inner_text()
    page.get_by_text("Recording", exact=True).click()
    page.get_by_role("alert").filter(has_text="page.wav").wait_for()


def test_a_recording_is_identified(page, home):
    page.get_by_text("Recording", exact=True).click()
    assert "drop or record" in page.locator("#hint").inner_text().lower()
    page.locator("#picker").set_input_files(home / "sounds" / "pieces" / "drive.mp3")
    row(page, "drive.mp3").wait_for()
    assert "of yours" in row(page, "drive.mp3").locator(".places").inner_text()
    page.get_by_text("Download").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="JSON").click()
    assert '"matches"' in Path(saved.value.path()).read_text()


def test_what_is_found_is_saved_for_other_programs(page):
    search(page, "rain")
    for name, begins in (
        ("CSV table", "rank,path"),
        ("M3U playlist", "#EXTM3U"),
        ("Raven table", "Selection"),
    ):
        page.get_by_text("Download").click()
        with page.expect_download() as saved:
            page.get_by_role("button", name=name).click()
        assert Path(saved.value.path()).read_text("utf-8", "replace").startswith(begins)


def test_the_microphone_is_searched_by(page):
    page.get_by_role("button", name="Record").click()
    page.locator("#record-label", has_text=re.compile(r"Stop [2-9]")).wait_for()
    page.get_by_role("button", name=re.compile("Stop")).click()
    page.locator("#results:not([aria-busy]) .row .score").first.wait_for()
    assert names(page)[0].startswith("100%25")  # the bells that the microphone heard
    assert "recorded.webm" in page.locator(".example").inner_text()


def test_indexing_is_followed_and_what_failed_is_told(page, home):
    shutil.copy(home / "call.wav", home / "sounds" / "new call.wav")
    (home / "sounds" / "new broken.wav").write_bytes(b"<html>" * 50)
    page.get_by_role("button", name="Index", exact=True).click()
    page.get_by_role("button", name="Bring it up to date").click()
    page.locator("#index-told", has_text="Done: 1 added").wait_for()
    troubles = page.locator("#troubles").inner_text()
    assert "Not read (1)" in troubles
    assert "new broken.wav" in troubles
    assert "holds no sound" in troubles
    page.keyboard.press("Escape")
    search(page, "bird")
    assert "new call.wav" in names(page)


def test_the_map_leads_from_point_to_point(page):
    page.get_by_role("button", name="Map", exact=True).click()
    page.locator("#map-told", has_text="files").wait_for()
    canvas = page.locator("#map-canvas")
    page.wait_for_function(
        """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
            .data.some((value, i) => i % 4 === 3 && value)""",
        arg=canvas.element_handle(),
    )
    page.keyboard.press("ArrowRight")
    first = page.locator("#map-card b")
    first.wait_for()
    name = first.inner_text()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("name => document.querySelector('#map-card b').textContent !== name", arg=name)
    page.keyboard.press("+")
    page.keyboard.press("Space")
    page.wait_for_function("() => !audio.paused")
    page.keyboard.press("Enter")
    assert page.locator("#map").is_hidden()
    page.locator(".example canvas").first.wait_for()
    assert "?file=" in page.url


def test_of_all_tabs_one_follows_indexing(page, served):
    others = [page.context.new_page() for _ in range(2)]
    for other in others:
        other.goto(served.address + "/?text=rain&k=1")
        other.locator(".row canvas").first.wait_for()
    assert served.server.config.app.state.indexing._n_streams == 1
    page.close()
    others[0].wait_for_timeout(500)
    assert served.server.config.app.state.indexing._n_streams <= 1


def test_a_key_opens_it_and_a_cookie_plays(opened, serve, home, tmp_path):
    key = Keys.make(tmp_path / "keys", "read")
    with serve(library=home / "library", keys=Keys(tmp_path / "keys")) as served:
        page = opened(served.address, "?text=rain", allowed="status of 401")
        page.locator("#login").wait_for()
        page.get_by_role("textbox", name="Key").fill("wrong")
        page.get_by_role("button", name="Open", exact=True).last.click()
        page.get_by_text("This key is none of this library").wait_for()
        page.get_by_role("textbox", name="Key").fill(key)
        page.keyboard.press("Enter")
        row(page, "rain.wav").locator("canvas").first.wait_for()
        row(page, "rain.wav").get_by_role("button", name="Play rain.wav").click()
        page.wait_for_function("() => !audio.paused && audio.currentTime > 0")
        page.get_by_role("button", name="Index", exact=True).click()
        assert page.locator("#index-start").is_hidden()
        assert page.evaluate("() => document.cookie") == ""


def test_it_works_under_a_path_of_its_own(opened, served, browser):
    """As behind a proxy that takes the path away."""
    context = browser.new_context()
    page, wrong = context.new_page(), []
    under = served.address + "/under/it/"
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))

    def forward(route):
        if route.request.url.startswith(under):
            route.continue_(url=route.request.url.replace("/under/it/", "/"))
        else:
            wrong.append(route.request.url)
            route.abort()

    page.route("**/*", forward)
    page.goto(under + "?text=rain")
    page.locator(".row canvas").first.wait_for(timeout=WAITS)
    context.close()
    assert wrong == []


def test_frequencies_are_written_where_they_are(page):
    def ticks(rate):
        return page.evaluate(
            "async rate => (await import(new URL('page/dom.js', document.baseURI))).frequencyTicks(rate)",
            rate,
        )

    for rate, texts in (
        (8_000, ["1 kHz", "2 kHz", "3 kHz"]),
        (44_100, ["10 kHz", "20 kHz"]),
        (384_000, ["50 kHz", "100 kHz", "150 kHz"]),
    ):
        found = ticks(rate)
        assert [tick["text"] for tick in found] == texts, rate
        for tick in found:
            assert tick["share"] == pytest.approx(tick["hertz"] / (rate / 2))


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)], ids=["light", "dark", "phone"]
)
def test_it_is_accessible(opened, served, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    size = {"width": width, "height": 800}
    # What axe writes into the page is what is complained of.
    options = {"color_scheme": scheme, "viewport": size, "reduced_motion": "reduce"}
    page = opened(served.address, "?text=rain&k=2", allowed="inline style", **options)
    page.locator(".row canvas").first.wait_for()
    page.locator(".row").first.get_by_role("button", name="Spectrum").click()
    page.locator(".spectrum img").first.wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width

    def serious():
        found = Axe().run(page).response["violations"]
        return [
            (one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")
        ]

    assert serious() == []
    if scheme == "light" and width > 1000:
        for name in ("Map", "Index", "Keys and help"):
            page.get_by_role("button", name=name, exact=True).click()
            assert serious() == []
            page.keyboard.press("Escape")
