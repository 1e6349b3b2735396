"""What is said in files, by their subtitles: kept, searched and written out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest

from echoic import (
    AudioError,
    Cue,
    Library,
    Transcript,
    UnknownEncoderError,
    UsageError,
    Word,
    transcribe,
)
from echoic.audio.encode import write_audio
from echoic.errors import MissingDependencyError, UnreadableError, WeightsError
from echoic.heard.stretches import FRAME
from tests.doubles.echoic_doubles import RATE, Chimes
from tests.integration.conftest import CommandsWithin

SRT = """1
00:00:00,500 --> 00:00:02,000
We speak of Dutch-

2
00:00:02,100 --> 00:00:03,500
made cheese &amp; Żółć, $43.50

3
00:00:03,500 --> 00:00:05,000
Việt Nam, 東京 ไทย: call 4 7 1 1
"""


def write(path: Path, seconds: float = 6.0) -> Path:
    write_audio(path, Chimes.play("abcdefgh".ljust(round(10 * seconds))), RATE)
    return path


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A library of a file with subtitles and one without, to be looked into only."""
    sounds = tmp_path_factory.mktemp("sounds")
    write(sounds / "film.wav")
    write(sounds / "bare.wav")
    (sounds / "film.en.srt").write_text(SRT, "utf-8")
    with Library(tmp_path_factory.mktemp("said")) as library:
        report = library.index([sounds], encoders=["spectral"], transcripts=True, jobs=1)
        assert report.transcribed == 1
        assert [Path(path).name for path, _ in report.untranscribed] == ["bare.wav"]
        yield library, sounds


@pytest.mark.parametrize(
    "phrase",
    [
        "dutch-made",
        "zolc",
        "viet nam",
        "東京",
        "ไทย",
        "4711",
        "forty three dollars and fifty cents",
        'CHEESE"*',
    ],
)
def test_typed_words_are_found_in_subtitles(said, phrase):
    library, _ = said
    (hit,) = library.phrases(phrase)
    assert (Path(hit.path).name, hit.encoder) == ("film.wav", "transcripts")
    assert 0.5 <= hit.start < hit.end <= 5
    assert hit.words
    assert library.phrases(phrase, path="bare.wav") == []


def test_a_phrase_over_two_lines_is_told_with_what_is_around(said):
    (hit,) = said[0].phrases("Dutch made", every=True)
    assert hit.words == "We speak of Dutch- made cheese & Żółć, $43.50 Việt Nam,"
    assert hit.start < 2.0 < 2.1 < hit.end


def test_what_cannot_be_looked_for_is_refused(said):
    for phrase, why in (("!!! 🎉", "no letters"), (" ", "empty"), ("a " * 70, "64"), ("x" * 2_001, "2,001")):
        with pytest.raises(UsageError, match=why):
            said[0].phrases(phrase)
    assert said[0].phrases("words that nobody says") == []
    assert said[0].phrases("cheese", min_score=0.99) == []


def test_a_file_s_transcript_is_told(said):
    library, sounds = said
    told = library.transcript(sounds / "film.wav")
    assert told == transcribe(sounds / "film.wav")
    assert [cue.language for cue in told.cues] == ["en"] * 3
    assert library.transcript(sounds / "bare.wav") is None
    with pytest.raises(UsageError, match="not in the library"):
        library.transcript("absent.wav")
    with pytest.raises(WeightsError, match=r"no subtitles.*models add transcripts"):
        transcribe(sounds / "bare.wav")
    with pytest.raises(AudioError, match="does not exist"):
        transcribe("absent.wav")


def test_the_command_line_tells_and_writes(said, tmp_path):
    library, sounds = said
    echoic = CommandsWithin(library.folder)
    film = sounds / "film.wav"
    lines = echoic("transcript", film).stdout.splitlines()
    assert lines[:2] == ["We speak of Dutch-", "made cheese & Żółć, $43.50"]
    assert "00:00:00,500 --> 00:00:02,000" in echoic("transcript", film, "--format", "srt").stdout
    assert echoic("transcript", film, "--format", "vtt").stdout.startswith("WEBVTT")
    cues = [json.loads(line) for line in echoic("transcript", film, "--format", "json").stdout.splitlines()]
    assert cues[0]["text"] == "We speak of Dutch-"
    assert cues[0]["words"][0] == {"start": 0.5, "end": 0.667, "text": "We", "probability": 1.0}
    echoic("transcript", film, "-o", tmp_path / "film.vtt")
    assert (tmp_path / "film.vtt").read_text("utf-8").startswith("WEBVTT")
    assert "there already" in echoic("transcript", film, "-o", tmp_path / "film.vtt", code=2).stderr
    assert "--format" in echoic("transcript", film, "-o", tmp_path / "film.doc", code=2).stderr
    assert "models add transcripts" in echoic("transcript", sounds / "bare.wav", code=1).stderr
    found = echoic("search", "--phrase", "zolc").stdout.splitlines()
    assert len(found) == 2
    assert "Żółć, $43.50" in found[1]
    assert found[1].endswith("[transcripts]")
    assert "words" in echoic("search", "--phrase", "zolc", "--csv").stdout.splitlines()[0]


def test_what_is_heard_and_what_is_written_is_one_hit(folder, library, doubles):
    write(folder / "both.wav")
    write(folder / "heard.wav")
    (folder / "both.srt").write_text("0:00 --> 0:01\nabcdefgh\n\n0:04 --> 0:05\nabcdefgh\n")
    library.index([folder], encoders=["chimes"], transcripts=True, jobs=1)
    hits = library.phrases("abcdefgh", every=True)
    assert sorted((Path(hit.path).name, hit.encoder) for hit in hits) == [
        ("both.wav", "chimes+transcripts"),
        ("both.wav", "transcripts"),
        ("heard.wav", "chimes"),
    ]
    scores = {hit.encoder: hit.score for hit in hits}
    assert scores["chimes+transcripts"] > max(scores["chimes"], scores["transcripts"])
    assert len(library.phrases("abcdefgh")) == 2
    assert {hit.encoder for hit in library.phrases("abcdefgh", encoder="chimes", every=True)} == {"chimes"}
    (only,) = library.phrases("abcdefgh", encoder="transcripts")
    assert only.encoder == "transcripts"


def test_transcripts_follow_what_becomes_of_files(folder, library):
    film, subtitles = write(folder / "film.wav"), folder / "film.srt"
    library.index([folder], encoders=["spectral"], jobs=1)
    with pytest.raises(UnknownEncoderError, match="--transcripts"):
        library.phrases("hello", encoder="transcripts")

    def index(**options):
        return library.index([folder], jobs=1, **options).transcribed

    subtitles.write_text("0:01 --> 0:02\nhello there\n")
    assert index() == 0  # nobody asked for it
    assert index(transcripts=True) == 1
    assert index() == 0
    subtitles.write_text("0:01 --> 0:02\ngood evening\n")
    assert index() == 1
    assert len(library.phrases("good evening")) == 1
    assert library.phrases("hello") == []
    moved = film.rename(folder / "moved.wav")
    subtitles.unlink()
    assert index() == 0  # nothing that is known is lost
    assert [hit.path for hit in library.phrases("evening")] == [str(moved)]
    write(moved, 4.0)
    assert index() == 0
    assert library.transcript(moved) is None  # of what is no more
    subtitles.with_name("moved.srt").write_text("0:01 --> 0:02\ngood morning\n")
    assert index(transcripts=False) == 0


def test_strange_subtitles_stop_no_run(folder, library):
    line = "00:00:01.000 --> 00:00:03.000\n"
    strange = {
        "number.srt": f"{line}&#{'9' * 5_000}; hello there",
        os.fsdecode(b"n\xff.srt"): f"{line}hello there",
        "terminal.vtt": f"WEBVTT\n\n{line}\x1b]0;pw\x07 hello\x9b there",
        "clock.vtt": "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n"
        f"{line}hello there\n\nX-TIMESTAMP-MAP=MPEGTS:90000,LOCAL:00:00:00.000\n\n{line}before",
        "voice.vtt": f"WEBVTT\n\n{line}<v{' ' * 200_000}hello there",
    }
    for name, text in strange.items():
        (folder / name).write_text(text, "utf-8")
        write(folder / f"{name[:-4]}.wav")
    report = library.index([folder], encoders=["spectral"], transcripts=True, jobs=1)
    assert (report.transcribed, report.untranscribed) == (len(strange), ())
    for record in library.files():
        [cue] = library.transcript(record.path).cues
        assert (cue.start, cue.end) == (1, 3)
        assert "hello" in cue.text
        assert cue.text.isprintable()
    assert len(library.phrases("hello", every=True)) == len(strange)


def test_subtitles_that_are_refused_take_their_words_along(folder, library, monkeypatch):
    film, subtitles = write(folder / "film.wav"), folder / "film.srt"
    subtitles.write_text("0:01 --> 0:02\nhello\n")
    first = library.index([folder], encoders=["spectral"], transcripts=True, jobs=1)
    assert (first.transcribed, first.passed_over) == (1, {})
    for wrong in ("0:01 --> 0:02\none\n\n0:59 --> 1:00\ntwo\n", f"0:01 --> 0:02\n{'a ' * 1_000}\n"):
        subtitles.write_text(wrong)
        report = library.index([folder], jobs=1)
        assert (len(report.untranscribed), len(report.notes)) == (1, 1)
        assert library.transcript(film) is None
    assert "has 1,000 words for 6 s of sound" in report.notes[0][1].sentence
    monkeypatch.setattr("echoic.heard.transcripts.load_recogniser", Scribe)
    library.index([folder], jobs=1)
    assert library.transcript(film).source == Scribe.key


def test_what_cannot_be_loaded_costs_only_files_without_subtitles(folder, library, monkeypatch):
    def broken():
        raise WeightsError("its weights are damaged")

    monkeypatch.setattr("echoic.heard.transcripts.load_recogniser", broken)
    write(folder / "bare.wav")
    write(folder / "film.wav")
    (folder / "film.srt").write_text("0:01 --> 0:02\nhello\n")
    report = library.index([folder], encoders=["spectral"], transcripts=True, jobs=1)
    assert (report.added, report.transcribed) == (2, 1)
    [(path, why)] = report.untranscribed
    assert Path(path).name == "bare.wav"
    assert "its weights are damaged" in why


def test_subtitles_belong_to_the_longest_name_that_they_begin_with(folder):
    for name, word in (("talk", "one"), ("talk.two", "two")):
        write(folder / f"{name}.wav")
        (folder / f"{name}.srt").write_text(f"0:01 --> 0:02\n{word}\n")
    said = [transcribe(folder / f"{name}.wav").cues[0].text for name in ("talk", "talk.two")]
    assert said == ["one", "two"]
    (folder / "talk.srt").unlink()
    with pytest.raises((MissingDependencyError, WeightsError)):
        transcribe(folder / "talk.wav")


def test_subtitles_of_another_cut_are_refused(folder, library):
    write(folder / "film.wav")
    (folder / "film.srt").write_text("0:01 --> 0:02\none\n\n0:26 --> 0:27\ntwo\n")
    report = library.index([folder], encoders=["spectral"], transcripts=True, jobs=1)
    assert [Path(path).name for path, _ in report.untranscribed] == ["film.wav"]
    ((_, note),) = report.notes
    assert "another cut" in note.sentence
    assert library.transcript(folder / "film.wav") is None
    (folder / "film.srt").write_text("0:01 --> 0:02\none\n\n0:05.5 --> 0:09\ntwo\n")
    library.index([folder], jobs=1)
    assert [cue.end for cue in library.transcript(folder / "film.wav").cues] == [2, 6]


def test_of_several_subtitles_that_without_a_language_is_read(folder):
    film = write(folder / "film.wav")
    for name, text in (("film.de.srt", "eins"), ("film.wav.vtt", "two"), ("filming.srt", "other")):
        (folder / name).write_text(f"0:01 --> 0:02\n{text}\n")
    assert transcribe(film).cues[0].text == "eins"
    assert transcribe(film).languages == ("de",)
    (folder / "film.srt").write_text("0:01 --> 0:02\none\n")
    assert transcribe(film).cues[0].text == "one"
    os.chmod(folder / "film.srt", 0o000)  # noqa: PTH101
    if not os.access(folder / "film.srt", os.R_OK):
        notes = []
        assert transcribe(film, noted=notes.append).cues[0].text == "eins"
        assert "cannot be read" in notes[0].sentence


@pytest.mark.parametrize(("name", "codec"), [("film.mp4", "mov_text"), ("film.mkv", "subrip")])
def test_subtitles_in_a_file_are_read(folder, library, name, codec):
    sound = write(folder / "sound.wav")
    with av.open(str(sound)) as source, av.open(str(folder / name), "w") as out:
        track = out.add_stream("aac" if name.endswith("mp4") else "flac", rate=RATE, layout="mono")
        subtitles = out.add_stream(codec)
        if hasattr(subtitles.codec_context, "subtitle_header"):
            subtitles.codec_context.subtitle_header = b"[Script Info]\n"
        for frame in source.decode(audio=0):
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
        for at, text in ((1, "Fish &amp; chips"), (3, "are fried")):
            content = text.encode()
            if codec == "mov_text":
                content = len(content).to_bytes(2, "big") + content
            packet = av.Packet(content)
            packet.stream, packet.time_base = (
                subtitles,
                av.time_base and __import__("fractions").Fraction(1, 1000),
            )
            packet.pts = packet.dts = 1000 * at
            packet.duration = 1500
            out.mux(packet)
    sound.unlink()
    library.index([folder], encoders=["spectral"], transcripts=True, jobs=1)
    told = library.transcript(folder / name)
    assert [(round(cue.start, 1), cue.text) for cue in told.cues] == [(1, "Fish & chips"), (3, "are fried")]
    assert len(library.phrases("chips are fried")) == 1
    assert library.index([folder], jobs=1).transcribed == 0


class Scribe:
    """Stands for a recogniser: it hears a word where there is sound, and cannot read what is called odd."""

    key = "transcripts@abc"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.chances = np.ones(2_000, np.float32)
        self.voiced = 0

    def voice(self, path, track=None):
        self.voiced += 1
        return self.chances

    def transcribe(self, path, *, track=None, progress=lambda _: None):
        self.asked.append(path.name)
        if path.stem == "odd":
            raise UnreadableError(f"{path} cannot be read")
        progress(1.0)
        words = (Word(0.5, 1.0, "Bonjour", 0.9), Word(1.0, 1.5, " Anna.", 0.6))
        return Transcript((Cue(0.5, 1.5, words, "fr"),) if path.stem != "silent" else (), self.key)


def test_subtitles_that_lie_where_nobody_speaks_are_refused(folder, library, monkeypatch):
    write(folder / "film.wav", 60.0)
    spoken = [0.5, 2.0, 5.5, 7.0, 8.2, 12.0, 14.6, 16.0, 17.5, 21.0, 22.2, 24.0, 27.5]
    scribe = Scribe()
    scribe.chances[:] = 0
    for start in spoken:
        scribe.chances[round(start / FRAME) : round((start + 0.8) / FRAME)] = 0.9
    monkeypatch.setattr("echoic.heard.transcripts.load_recogniser", lambda: scribe)
    for shift, source in ((20, "transcripts@abc"), (0, "film.srt")):
        lines = [f"0:{at + shift:06.3f} --> 0:{at + shift + 0.8:06.3f}\nword\n" for at in spoken]
        (folder / "film.srt").write_text("\n".join(lines))
        report = library.index([folder], encoders=["spectral"], transcripts=True, jobs=1)
        wrong = [note.sentence for _, note in report.notes]
        assert len(wrong) == (shift > 0)
        assert all("20 s earlier from 20 s on: it is of another cut" in sentence for sentence in wrong)
        assert library.transcript(folder / "film.wav").source.startswith(source)
        n = scribe.voiced
        assert library.index([folder], jobs=1).notes == ()
        assert scribe.voiced == n  # what was compared once is not again


def test_what_has_no_subtitles_is_written_down_once(folder, library, monkeypatch):
    for name in ("one", "odd", "silent", "with"):
        write(folder / f"{name}.wav")
    (folder / "with.srt").write_text("0:01 --> 0:02\nhello\n")
    scribe = Scribe()
    monkeypatch.setattr("echoic.heard.transcripts.load_recogniser", lambda: scribe)
    told = []
    report = library.index(
        [folder], encoders=["spectral"], transcripts=True, jobs=1, progress=lambda now: told.append(now.path)
    )
    assert (report.transcribed, [Path(path).name for path, _ in report.untranscribed]) == (3, ["odd.wav"])
    assert sorted(scribe.asked) == ["odd.wav", "one.wav", "silent.wav"]
    assert library.transcript(folder / "silent.wav").cues == ()
    assert library.transcript(folder / "one.wav").languages == ("fr",)
    (hit,) = library.phrases("bonjour anna")
    assert (Path(hit.path).name, hit.words) == ("one.wav", "Bonjour Anna.")
    scribe.asked.clear()
    assert library.index([folder], jobs=1).transcribed == 0
    assert scribe.asked == ["odd.wav"]
    scribe.key = "transcripts@def"  # another one writes down anew what the first did, and no subtitles
    assert library.index([folder], jobs=1).transcribed == 2
    monkeypatch.setattr("echoic.heard.transcripts.load_recogniser", lambda: None)
    assert library.index([folder], jobs=1).transcribed == 0


def test_a_run_that_is_stopped_goes_on_where_it_was(folder, library, monkeypatch):
    for name in ("a", "b", "c"):
        write(folder / f"{name}.wav")
    scribe = Scribe()
    monkeypatch.setattr("echoic.heard.transcripts.load_recogniser", lambda: scribe)

    def stop(now):
        if now.path.endswith("b.wav") and now.total == 3 and scribe.asked[-1:] == ["b.wav"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.index([folder], encoders=["spectral"], transcripts=True, jobs=1, progress=stop)
    assert library.transcript(folder / "a.wav") is not None
    assert library.transcript(folder / "b.wav") is None
    scribe.asked.clear()
    assert library.index([folder], jobs=1).transcribed == 2
    assert scribe.asked == ["b.wav", "c.wav"]


def test_a_folder_that_is_no_whisper_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("faster_whisper", reason="pip install 'echoic[transcripts]'")
    monkeypatch.setenv("ECHOIC_MODELS", str(tmp_path / "models"))
    echoic = CommandsWithin(tmp_path / "library")
    (tmp_path / "whisper").mkdir()
    adding = ("models", "add", "transcripts", "--from", tmp_path / "whisper")
    assert "lacks model.bin" in echoic(*adding, code=1).stderr
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json"):
        (tmp_path / "whisper" / name).write_text("{}")
    assert "cannot be used" in echoic(*adding, code=1).stderr
    assert not (tmp_path / "models" / "transcripts").exists()
    assert "not on this machine" in echoic("models", "remove", "transcripts", code=2).stderr
    assert "no encoder; use it with" in echoic("index", tmp_path, "--encoder", "transcripts", code=2).stderr
    (tmp_path / "models" / "transcripts").mkdir(parents=True)
    (tmp_path / "models" / "transcripts" / "card.json").write_text('{"sha256": {"model.bin": "0"}}')
    write(tmp_path / "a.wav")
    assert "cannot be used" in echoic("transcript", tmp_path / "a.wav", code=1).stderr
    assert "removed" in echoic("models", "remove", "transcripts").stdout
