"""What of a file is heard that has several tracks, or channels that cancel each other, and what is said."""

import json

import numpy as np
import pytest

from echoic import Library, NotAudioError, Note, embed
from echoic.analysis.pipeline import embed_file
from echoic.audio import decode
from echoic.audio.decode import open_audio, read_audio
from echoic.audio.encode import write_audio
from echoic.audio.frames import Frames
from echoic.audio.live import piped
from echoic.encoders.registry import load_encoder
from tests.integration.conftest import CommandsWithin, write_clip
from tests.integration.contents import contents
from tests.media import mux, sound

RATE = 44_100
SECONDS = 6


def mono(seed):
    return sound(SECONDS, RATE, seed=seed)


SILENT = np.zeros((SECONDS * RATE, 1), np.float32)
OFFSET = np.full_like(SILENT, 0.3)  # of which lossy codecs make a hum, and a click at either end
HISS = np.random.default_rng(5).normal(0, 2e-5, SILENT.shape).astype(np.float32)


def alike(one, other):
    """Cosine of two stretches of samples, the delay of a codec taken out."""
    n = min(len(one), len(other))
    one, other = one[:n].astype(np.float64), other[:n].astype(np.float64)
    product = np.fft.rfft(one, 2 * n) * np.fft.rfft(other, 2 * n).conj()
    correlation = np.fft.irfft(product) / np.linalg.norm(one) / np.linalg.norm(other)
    return float(correlation[np.abs(correlation).argmax()])


@pytest.fixture
def film(tmp_path):
    """Write a film with the sound tracks that are given."""

    def write(*tracks, suffix=".mkv", container_format="matroska", codec="pcm_s16le", video="mpeg4"):
        path = tmp_path / f"film{suffix}"
        return mux(path, container_format, codec, *tracks, sample_rate=RATE, video=video)

    return write


# Tracks


@pytest.mark.parametrize(
    ("suffix", "container_format", "codec"),
    [
        (".mkv", "matroska", "pcm_s16le"),
        (".mp4", "mp4", "aac"),
        (".ts", "mpegts", "mp2"),
        (".mov", "mov", "alac"),
    ],
)
@pytest.mark.parametrize("before", [[], [SILENT], [SILENT, HISS], [OFFSET]])
def test_the_first_track_with_sound_is_heard(film, suffix, container_format, codec, before):
    path = film(*before, mono(1), mono(2), suffix=suffix, container_format=container_format, codec=codec)
    samples, info = read_audio(path, RATE)
    assert alike(samples, mono(1)[:, 0]) > 0.99
    n = len(before) + 2
    heard = Note("tracks", f"it has {n} tracks of sound, and track {n - 1} is heard", n - 1)
    assert info.notes == (heard,)


def test_of_silent_tracks_the_first_is_heard(film):
    samples, info = read_audio(film(SILENT, HISS), RATE)
    assert not samples.any()
    assert info.notes == (Note("tracks", "it has 2 tracks of sound, and track 1 is heard", 1),)


def test_a_part_is_of_the_track_that_the_whole_is_of(film):
    late = np.concatenate([SILENT[: 4 * RATE], mono(1)[: 2 * RATE]])
    samples, _ = read_audio(film(late, mono(2)), RATE, start=1, end=3)
    assert not samples.any()


def test_one_track_alone_is_no_news(film):
    assert read_audio(film(mono(1)), RATE)[1].notes == ()
    with open_audio(film(mono(1)), track=2) as stream:
        assert stream.n_tracks == 1


def test_a_track_by_its_number(film):
    path = film(mono(1), mono(2), mono(3))
    for number in (1, 2, 3):
        with open_audio(path, track=number) as stream:
            assert alike(np.concatenate(list(stream)), mono(number)[:, 0]) > 0.99
            told = f"it has 3 tracks of sound, and track {number} is heard"
            assert stream.info.notes == (Note("tracks", told, number),)
    with pytest.raises(NotAudioError, match="has 3 tracks of sound, and no track 4"):
        open_audio(path, track=4)


def vectors_of(library, path, **options):
    segments, failed = embed([path], encoder="spectral", jobs=1, **options)
    assert failed == {}
    return segments[str(path)]


def test_mix_and_all(film, tmp_path, worker):
    path = film(mono(1), mono(2))
    for name, samples in (("one", mono(1)), ("two", mono(2)), ("mean", (mono(1) + mono(2)) / 2)):
        write_audio(tmp_path / f"{name}.wav", samples, RATE)
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        one, two, mean = (vectors_of(library, tmp_path / f"{name}.wav") for name in ("one", "two", "mean"))
        np.testing.assert_allclose(vectors_of(library, path, track=2).vectors, two.vectors, atol=1e-3)
        np.testing.assert_allclose(vectors_of(library, path, track="mix").vectors, mean.vectors, atol=1e-3)
        each = vectors_of(library, path, track="all")
        assert each.starts.tolist() == sorted([*one.starts, *two.starts])
        np.testing.assert_allclose(each.vectors[::2], one.vectors, atol=1e-3)
        np.testing.assert_allclose(each.vectors[1::2], two.vectors, atol=1e-3)


def test_tracks_of_other_lengths_and_rates_mix(tmp_path, worker):
    short = mono(1)[: 2 * RATE]
    path = mux(tmp_path / "film.mkv", "matroska", "pcm_s16le", short, mono(2), sample_rate=RATE)
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        mixed = vectors_of(library, path, track="mix")
        assert mixed.ends[-1] == pytest.approx(SECONDS, abs=0.01)


def test_another_track_is_read_anew_and_the_same_is_not(film, tmp_path, worker):
    path = film(SILENT, mono(2))
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)

        def index(track=None):
            report = library.index([path], encoders=["spectral", "fingerprint"], jobs=1, track=track)
            return report.added, report.changed, report.unchanged

        assert [index(), index(), index(2), index(1), index(1)] == [
            (1, 0, 0),
            (0, 0, 1),
            (0, 0, 1),
            (0, 1, 0),
            (0, 0, 1),
        ]
        assert library.files()[0].notes == (
            Note("tracks", "it has 2 tracks of sound, and track 1 is heard", 1),
            Note("silence", "no sound in it"),
        )
        assert [index("mix"), index("mix"), index("all"), index("all")] == [
            (0, 1, 0),
            (0, 0, 1),
            (0, 1, 0),
            (0, 0, 1),
        ]
        assert library.files()[0].notes == (
            Note("tracks", "it has 2 tracks of sound, and each is heard", "all"),
        )
        kept = contents(library)[str(path)]
        assert all(len(vectors) for vectors in kept.vectors.values())


def test_the_option(film, echoic):
    path = film(SILENT, mono(2))
    told = echoic("index", path, "--encoder", "spectral", "--jobs", 1)
    assert "2 tracks of sound, and track 2 is heard" in told.stderr
    assert "[tracks] it has 2 tracks" in echoic("list").stdout
    assert "track 1 is heard" in echoic("index", path, "--track", "1", "--jobs", 1).stderr
    for wrong in ("0", "-1", "first"):
        assert "--track" in echoic("index", path, f"--track={wrong}", code=2).stderr


# Channels


def pair(left, right):
    return np.concatenate([left, right], axis=1).astype(np.float32)


def test_channels_of_opposite_phase_leave_the_louder_one(tmp_path):
    tone = mono(1)
    opposite = {
        "exact.wav": (pair(tone, -tone), 0),
        "quieter.flac": (pair(0.9 * tone, -tone), 1),
        "coded.mp3": (pair(tone, -0.98 * tone), 0),
        "hissing.wav": (pair(tone, -tone) + 1e-3 * pair(mono(2), mono(3)), None),
        "late.wav": (np.concatenate([np.zeros((2 * RATE, 2), np.float32), pair(tone, -tone)]), 0),
        "offset.wav": (pair(tone, -tone) + np.float32(0.1), 0),
        "four.wav": (np.concatenate([pair(tone, -tone), pair(tone, -tone)], axis=1), 0),
    }
    for name, (samples, channel) in opposite.items():
        write_audio(tmp_path / name, samples, RATE)
        heard, info = read_audio(tmp_path / name, RATE)
        (note,) = info.notes
        assert note.kind == "phase", name
        n = samples.shape[1]
        if channel is not None:
            assert f"channel {channel + 1} of {n} is heard alone" in note.sentence, name
        begin = 2 * RATE if name == "late.wav" else 0
        heard = heard[begin : begin + len(tone)] - heard.mean()
        assert abs(alike(heard, tone[: len(heard), 0])) > 0.98, name


def test_channels_that_mix_are_mixed(tmp_path):
    tone, other = mono(1), mono(2)
    plain = {
        "twice": pair(tone, tone),
        "stereo": pair(tone, other),
        "wide": pair(tone + 0.5 * other, tone - 0.5 * other),
        "wider": pair(0.5 * tone + other, 0.5 * tone - other),
        "left": pair(tone, 0 * tone),
        "one of six": np.concatenate([tone, *[0 * tone] * 5], axis=1),
        "silent": pair(SILENT, SILENT),
        "offsets": pair(SILENT + 0.2, SILENT - 0.2),
    }
    for name, samples in plain.items():
        write_audio(tmp_path / "plain.wav", samples.astype(np.float32), RATE, codec="pcm_f32le")
        heard, info = read_audio(tmp_path / "plain.wav", RATE)
        assert info.notes == (), name
        np.testing.assert_allclose(heard, samples.mean(axis=1), atol=1e-6, err_msg=name)


def test_a_moment_of_opposite_phase_decides_nothing(tmp_path):
    tone, other = mono(1), mono(2)
    begin = RATE // 2
    samples = pair(tone, other)
    samples[:begin] = pair(tone, -tone)[:begin]
    write_audio(tmp_path / "plain.wav", samples, RATE)
    heard, info = read_audio(tmp_path / "plain.wav", RATE)
    assert info.notes == ()
    np.testing.assert_allclose(heard, samples.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("name", ["later.wav", "later.mp3", "later.flac"])
def test_channels_that_cancel_each_other_later_are_told(tmp_path, name):
    tone, other = mono(1), mono(2)
    samples = np.concatenate([pair(tone, other), pair(tone, -tone)])
    write_audio(tmp_path / name, samples, RATE)
    _, info = read_audio(tmp_path / name, RATE)
    (note,) = info.notes
    assert note.kind == "phase"
    assert note.sentence.startswith("its channels cancel each other for about ")
    assert float(note.sentence.split()[7]) == pytest.approx(SECONDS, abs=1.5)


def test_channels_that_cancel_each_other_beside_others_are_told(tmp_path):
    samples = np.concatenate([mono(1), 2 * mono(2), -mono(1)], axis=1) / 2
    write_audio(tmp_path / "three.wav", samples.astype(np.float32), RATE)
    heard, info = read_audio(tmp_path / "three.wav", RATE)
    assert abs(alike(heard, mono(2)[:, 0])) > 0.98
    (note,) = info.notes
    assert note.sentence.startswith("its channels 1 and 3 cancel each other for about ")
    assert float(note.sentence.split()[10]) == pytest.approx(SECONDS, abs=0.5)


def test_what_is_left_out_of_a_pipe_is_told(tmp_path, film):
    tone, other = mono(1), mono(2)
    samples = np.concatenate([pair(tone, -tone), pair(other, 0.5 * other), pair(-0.9 * tone, tone)])
    write_audio(tmp_path / "a.wav", samples, RATE)
    with (tmp_path / "a.wav").open("rb") as file, piped(file) as live:
        heard = np.concatenate(list(live.blocks))
        (note,) = live.notes()
    assert note.sentence.startswith("its channels cancel each other for about ")
    assert float(note.sentence.split()[7]) == pytest.approx(2 * SECONDS, abs=1.5)
    n = len(tone)
    for number, part in enumerate((tone, other, tone)):
        assert abs(alike(heard[number * n + RATE : (number + 1) * n], part[RATE:, 0])) > 0.95, number
    with (
        film(mono(1), mono(2), suffix=".ts", container_format="mpegts", codec="mp2").open("rb") as file,
        piped(file) as live,
    ):
        assert sum(map(len, live.blocks)) > SECONDS * RATE
        (note,) = live.notes()
    assert note.sentence == "it has 2 tracks of sound, and track 1 is heard"


def test_channels_that_mix_are_found_out_without_opening_a_file_again(tmp_path, monkeypatch):
    opened = []

    def counted(*args, **options):
        opened.append(args)
        return Frames(*args, **options)

    monkeypatch.setattr(decode, "Frames", counted)
    for name, seconds in (("short.wav", 1), ("long.mp3", 6)):
        opened.clear()
        write_audio(tmp_path / name, pair(mono(1), mono(2))[: seconds * RATE], RATE)
        _, info = read_audio(tmp_path / name, RATE)
        assert info.duration == pytest.approx(seconds, abs=1e-3)
        assert len(opened) == 1


def test_channels_that_are_asked_for_come_as_they_are(tmp_path):
    samples = pair(mono(1), -mono(1))
    write_audio(tmp_path / "opposite.wav", samples, RATE)
    with open_audio(tmp_path / "opposite.wav", mono=False) as stream:
        np.testing.assert_allclose(np.concatenate(list(stream)), samples, atol=1e-4)
        assert stream.info.notes == ()


# Above what is heard


def test_of_a_click_is_not_said_that_it_cannot_be_heard(tmp_path):
    noise = np.random.default_rng(3).normal(0, 0.1, (1_000, 1)).astype(np.float32)
    write_audio(tmp_path / "click.wav", noise, RATE)
    info, segments = embed_file(tmp_path / "click.wav", {"spectral": load_encoder("spectral")})
    assert info.notes == ()
    assert len(segments["spectral"]) == 1


def tone(frequency, rate, level=0.2, seconds=6):
    """Make a tone that comes and goes softly: a hard end is a click, which is heard."""
    time = np.arange(seconds * rate) / rate
    swell = np.sin(np.pi * time / seconds) ** 2
    return (level * swell * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


@pytest.mark.parametrize(("rate", "frequency"), [(384_000, 45_000), (192_000, 22_000), (44_100, 15_000)])
def test_sound_above_what_is_heard_is_said(tmp_path, worker, rate, frequency):
    files = {
        "calls": (tone(frequency, rate), "all"),
        "calls_over_rumble": (tone(frequency, rate) + 0.05 * tone(200, rate), "most"),
        "faint": (1e-4 * tone(frequency, rate), None),
        "plain": (tone(300, rate) + 0.1 * tone(frequency, rate), None),
        "hiss": (np.random.default_rng(0).normal(0, 0.1, 6 * 44_100).astype(np.float32), None),
    }
    for name, (samples, _) in files.items():
        (tmp_path / "clips").mkdir(exist_ok=True)
        write_audio(tmp_path / "clips" / f"{name}.wav", samples, 44_100 if name == "hiss" else rate)
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        library.index([tmp_path / "clips"], encoders=["spectral"], jobs=1)
        for record in library.files():
            name = record.path.rpartition("/")[2].removesuffix(".wav")
            share = files[name][1]
            said = [note for note in record.notes if note.kind == "ultrasound"]
            due = Note("ultrasound", f"{share} of its sound lies above 8 kHz, which is not heard")
            assert said == ([] if share is None else [due]), name
        with pytest.raises(NotAudioError, match="lies above 8 kHz"):
            library.search(tmp_path / "clips" / "calls.wav")


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory):
    """A folder of classes with a file of 4 s, of which 2 s are there, and a hit within it."""
    folder = tmp_path_factory.mktemp("cut off")
    for label, name in (("a", "one"), ("a", "cut"), ("b", "other"), ("b", "more")):
        write_clip(folder / "set" / label / f"{name}.wav", len(name), 4.0)
    cut = folder / "set" / "a" / "cut.wav"
    cut.write_bytes(cut.read_bytes()[: 44 + 2 * 2 * 8_000])
    (folder / "hit.json").write_text(json.dumps({"path": str(cut), "start": 1, "end": 3}), "utf-8")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        "show set/a/cut.wav -o cut.svg",
        "cut hit.json -o parts",
        "repeats set/a/cut.wav set/b/more.wav",
        "evaluate set --encoder spectral --jobs 1",
    ],
)
def test_whatever_listens_says_what_could_not_be_decoded(cut_off, words):
    said = CommandsWithin(cut_off / "library")(*words.split(), cwd=cut_off).stderr
    assert said.count("cut.wav: the last 2.0 s of 4.0 s could not be decoded") == 1
