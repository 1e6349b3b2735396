"""Short pieces of music, composed by rule and played by the synthetic instruments.

A piece has melody, bass, chords and percussion over a form of four-bar phrases. Composing (which notes)
is apart from performing (tempo, instruments, room), so that another take of a piece is the same music
played differently, as a live version is.

The rules are those of a first year of harmony: chords move by function and phrases end in a cadence; the
melody takes chord notes on strong beats, steps between them, repeats its rhythm, and comes to rest on the
tonic; the voices of a chord move as little as they can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from echoic.audio.synthesis import instruments
from echoic.audio.synthesis.signals import Float64, finish, place, reverberate
from echoic.errors import UsageError
from echoic.types import Float32

__all__ = ["ARRANGEMENTS", "PIECES", "make_piece", "make_version"]

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MINOR = (0, 2, 3, 5, 7, 8, 10)
_DORIAN = (0, 2, 3, 5, 7, 9, 10)

# Which chords (degrees from 0) may follow which; repeated ones are likelier.
_FOLLOWS: dict[int, tuple[int, ...]] = {
    0: (3, 3, 5, 4, 1),
    1: (4, 4, 3),
    2: (5, 3),
    3: (4, 4, 0, 1),
    4: (0, 5, 0),
    5: (3, 1, 3, 4),
    6: (0, 5),
}
# Onsets of the melody within a bar, in eighth notes; the first note of each is on the first beat.
_RHYTHMS = {
    8: ((0, 2, 4, 6), (0, 3, 4, 6), (0, 2, 3, 4, 6, 7), (0, 4, 6), (0, 1, 2, 4, 5, 6), (0, 3, 6)),
    6: ((0, 2, 4), (0, 4), (0, 2, 3, 4), (0, 3, 4, 5), (0, 1, 2, 4)),
}


@dataclass(frozen=True, slots=True)
class _Style:
    """How a piece is composed and played.

    Parameters
    ----------
    composition : int
        Seeds the notes: two styles with the same number, mode and form are takes of one piece.
    tonic : int
        MIDI number of the key note near the middle of the melody.
    eighths : int
        To a bar: 8 for 4/4, 6 for 3/4.
    form : str
        One letter a phrase of four bars; equal letters are equal music.
    lead, bass, chords : str
        Names of instruments.
    comping : str
        How chords are broken: "held", "arpeggio", "offbeat" or "waltz".
    drums : dict of str to str
        One mark an eighth note; "x" a blow, "-" a soft one.
    hall : float
        Seconds of reverberation.
    looseness : float
        Standard deviation of the players' timing, seconds.
    """

    composition: int
    tonic: int
    scale: tuple[int, ...]
    tempo: float
    eighths: int
    form: str
    lead: str
    bass: str
    chords: str
    comping: str
    drums: dict[str, str]
    hall: float
    swing: float = 0.0
    looseness: float = 0.004


_NIGHT_DRIVE = _Style(
    composition=0, tonic=69, scale=_MINOR, tempo=112, eighths=8, form="AABA", lead="flute", bass="synth bass",
    chords="pad", comping="held", hall=1.6,
    drums={"kick": "x.x.x.x.", "clap": "..x...x.", "hat": "-x-x-x-x"},
)  # fmt: skip

_STYLES: dict[str, _Style] = {
    "night-drive": _NIGHT_DRIVE,
    # The same notes on a stage: slower, other instruments, a drummer in place of the machine.
    "night-drive-live": replace(
        _NIGHT_DRIVE, tempo=101, lead="electric piano", bass="string", chords="string", comping="arpeggio",
        hall=2.6, drums={"kick": "x..xx...", "snare": "..x...x.", "hat": "x-x-x-x-"}, swing=0.12,
        looseness=0.012,
    ),
    "music-box-waltz": _Style(
        composition=1, tonic=79, scale=_MAJOR, tempo=148, eighths=6, form="AABBA", lead="bell", bass="string",
        chords="string", comping="waltz", hall=1.2, drums={"hat": "..-.-."},
    ),
    "harbour-morning": _Style(
        composition=2, tonic=72, scale=_MAJOR, tempo=92, eighths=8, form="ABA", lead="flute", bass="string",
        chords="string", comping="arpeggio", hall=1.0, swing=0.1,
        drums={"kick": "x...x...", "snare": "..-...-.", "hat": "x-x-x-x-"},
    ),
    "corner-cafe": _Style(
        composition=3, tonic=70, scale=_DORIAN, tempo=126, eighths=8, form="AABA", lead="electric piano",
        bass="string", chords="electric piano", comping="offbeat", hall=0.7, swing=0.3, looseness=0.008,
        drums={"kick": "x.....-.", "snare": "..-...x-", "hat": "x.x-x.x-"},
    ),
    "slow-procession": _Style(
        composition=4, tonic=67, scale=_MINOR, tempo=76, eighths=8, form="AB", lead="voice", bass="pad",
        chords="pad", comping="held", hall=3.2, drums={"tom": "x...x.--", "kick": "x......."},
    ),
}  # fmt: skip
PIECES = tuple(_STYLES)

# Another band's way with any piece: lead, bass and chords, semitones up, and how many times as fast.
_ARRANGEMENTS: tuple[tuple[str, str, str, int, float], ...] = (
    ("electric piano", "string", "string", -2, 0.9),
    ("bell", "pad", "electric piano", 3, 1.1),
    ("voice", "string", "pad", 5, 0.82),
    ("flute", "synth bass", "electric piano", -4, 1.2),
)
#: How many other arrangements :func:`make_version` knows, of any piece.
ARRANGEMENTS = len(_ARRANGEMENTS)


@dataclass(frozen=True, slots=True)
class _Note:
    start: float  # eighth notes from the beginning
    length: float  # eighth notes
    pitch: int  # MIDI number
    level: float


def make_piece(name: str, *, sample_rate: int = 44_100, seed: int = 0) -> Float32:
    """Compose and play a piece.

    Parameters
    ----------
    name : str
        One of ``PIECES``. ``"night-drive-live"`` is another take of ``"night-drive"``: the same notes at
        another tempo on other instruments.
    sample_rate : int
        Hz, at least 8000.
    seed : int
        At least 0: another seed is other music in the same style.

    Returns
    -------
    ndarray of float32, shape (n, 2)
        Stereo, 20 to 45 seconds, peak 0.9.

    Raises
    ------
    UsageError
        For an unknown name, a negative seed or too low a sample rate.
    """
    style = _style(name, sample_rate, seed)
    parts = _compose(style, np.random.default_rng([seed, style.composition, 3]))
    return _perform(style, parts, sample_rate, np.random.default_rng([seed, PIECES.index(name), 4]))


def make_version(name: str, arrangement: int, *, sample_rate: int = 44_100, seed: int = 0) -> Float32:
    """Play a piece in another key, at another tempo, by other instruments.

    Parameters
    ----------
    name, sample_rate, seed
        As in :func:`make_piece`; with the same seed it is the same music.
    arrangement : int
        From 0; less than ``ARRANGEMENTS``.

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    UsageError
        As :func:`make_piece`, and for an arrangement that there is not.
    """
    style = _style(name, sample_rate, seed)
    if not 0 <= arrangement < ARRANGEMENTS:
        raise UsageError(f"arrangements are numbered from 0 to {ARRANGEMENTS - 1}, not {arrangement}")
    lead, bass, chords, higher, faster = _ARRANGEMENTS[arrangement]
    style = replace(
        style,
        lead=lead,
        bass=bass,
        chords=chords,
        tonic=style.tonic + higher,
        tempo=faster * style.tempo,
        comping="arpeggio" if style.comping == "held" else "held",
    )
    notes = _compose(style, np.random.default_rng([seed, style.composition, 3]))
    rng = np.random.default_rng([seed, PIECES.index(name), 5 + arrangement])
    return _perform(style, notes, sample_rate, rng)


def _style(name: str, sample_rate: int, seed: int) -> _Style:
    if name not in _STYLES:
        raise UsageError(f"no piece is called {name!r}; choose one of {', '.join(PIECES)}")
    if seed < 0:
        raise UsageError(f"seeds count from 0, not {seed}")
    if sample_rate < 8_000:
        raise UsageError(f"pieces need a sample rate of at least 8000 Hz, not {sample_rate}")
    return _STYLES[name]


def _compose(style: _Style, rng: np.random.Generator) -> dict[str, list[_Note]]:
    """Write the notes of all parts but the percussion; they do not depend on how it is played."""
    parts: dict[str, list[_Note]] = {"lead": [], "bass": [], "chords": []}
    # One phrase for each letter, the last one of the piece closing on the tonic.
    phrases = {
        letter: _phrase(style, rng, is_last=letter == style.form[-1]) for letter in sorted(set(style.form))
    }
    length = 4 * style.eighths
    for number, letter in enumerate(style.form):
        for part, notes in phrases[letter].items():
            parts[part] += [replace(note, start=note.start + number * length) for note in notes]
    end = len(style.form) * length
    parts["bass"].append(
        _Note(end, style.eighths, style.tonic - 36 if style.tonic > 71 else style.tonic - 24, 0.9)
    )
    parts["lead"].append(_Note(end, style.eighths, style.tonic, 0.8))
    parts["chords"] += [_Note(end, style.eighths, _degree(style, step) - 12, 0.7) for step in (0, 2, 4)]
    return parts


def _phrase(style: _Style, rng: np.random.Generator, *, is_last: bool) -> dict[str, list[_Note]]:
    degrees = [0 if is_last else int(rng.choice([0, 3, 5]))]
    while len(degrees) < 3:
        degrees.append(int(rng.choice(_FOLLOWS[degrees[-1]])))
    degrees.append(4 if not is_last or degrees[-1] != 4 else 0)
    rhythms = _RHYTHMS[style.eighths]
    motif, answer = rng.choice(len(rhythms), 2, replace=False)
    per_bar = [rhythms[motif], rhythms[answer], rhythms[motif], (0, style.eighths // 2)]
    contour = rng.choice([-1, 1, 1, -2, 2, -1], 8)  # steps of the scale between the notes of the motif
    lead: list[_Note] = []
    bass: list[_Note] = []
    chords: list[_Note] = []
    step = int(rng.choice([0, 2, 4]))
    voicing: list[int] = []
    for bar, (degree, onsets) in enumerate(zip(degrees, per_bar, strict=True)):
        first = bar * style.eighths
        triad = {(degree + third) % 7 for third in (0, 2, 4)}
        ends = (*onsets[1:], style.eighths)
        for index, (onset, end) in enumerate(zip(onsets, ends, strict=True)):
            move = int(contour[index % 8]) if index or bar else 0
            step += move if -3 <= step + move <= 8 else -move  # turn back at the edge of the range
            if onset % 4 == 0 or end - onset > 2:
                step = _nearest(step, triad)
            level = 0.95 if onset == 0 else 0.75 + 0.1 * rng.uniform()
            lead.append(_Note(first + onset, 0.95 * (end - onset), _degree(style, step), level))
        root = _degree(style, degree) - 24
        root -= 12 if root > 50 else 0
        fifth = root + 7 if root < 46 else root - 5
        half = style.eighths // 2
        bass.append(_Note(first, half - 0.3, root, 0.95))
        if style.comping != "held":
            bass.append(_Note(first + half, half - 0.3, fifth, 0.75))
        else:
            bass += [_Note(first + at, 0.8, root, 0.7) for at in range(half, style.eighths)]
        voicing = _voice(style, degree, voicing)
        chords += _comp(style, first, voicing)
    return {"lead": lead, "bass": bass, "chords": chords}


def _degree(style: _Style, step: int) -> int:
    octave, degree = divmod(step, 7)
    return style.tonic + 12 * octave + style.scale[degree]


def _nearest(step: int, triad: set[int]) -> int:
    return min((step + move for move in (0, 1, -1, 2, -2)), key=lambda s: (s % 7 not in triad, abs(s - step)))


def _voice(style: _Style, degree: int, before: list[int]) -> list[int]:
    """Choose the inversion whose voices move least from those ``before``."""
    inversions = []
    for inversion in range(-2, 3):
        steps = [degree + third for third in (0, 2, 4)]
        for _ in range(abs(inversion)):
            steps = [*steps[1:], steps[0] + 7] if inversion > 0 else [steps[-1] - 7, *steps[:-1]]
        inversions.append([_degree(style, step) - 12 for step in steps])
    near = before or [style.tonic - 10, style.tonic - 6, style.tonic - 3]
    return min(inversions, key=lambda voices: sum(abs(a - b) for a, b in zip(voices, near, strict=True)))


def _comp(style: _Style, first: int, voices: list[int]) -> list[_Note]:
    """Break a chord over one bar as the style wants it."""
    n = style.eighths
    if style.comping == "held":
        return [_Note(first, n - 0.1, pitch, 0.6) for pitch in voices]
    if style.comping == "arpeggio":
        order = [*voices, voices[0] + 12, *voices[:0:-1]]
        return [_Note(first + at, 3.0, order[at % len(order)], 0.7 if at else 0.85) for at in range(n)]
    times = (2, 4) if style.comping == "waltz" else (1, 3, 6)
    return [_Note(first + at + 0.03 * k, 0.9, pitch, 0.6) for at in times for k, pitch in enumerate(voices)]


def _perform(
    style: _Style, parts: dict[str, list[_Note]], sample_rate: int, rng: np.random.Generator
) -> Float32:
    eighth = 30 / style.tempo
    n_bars = 4 * len(style.form)
    total = round(((n_bars + 1) * style.eighths * eighth + 1.0) * sample_rate)
    mix = np.zeros((total, 2))
    sources = {"lead": style.lead, "bass": style.bass, "chords": style.chords}
    balance = {"lead": (0.19, 0.15), "bass": (0.15, 0.0), "chords": (0.095, -0.35)}  # level, pan
    for part, notes in parts.items():
        track = np.zeros(total)
        longest = max(note.length for note in notes) * eighth
        play = _player(sources[part], longest, sample_rate, int(rng.integers(2**31)))
        for note in notes:
            late = style.swing if int(note.start) % 2 else 0.0
            at = max(0, round(((note.start + late) * eighth + style.looseness * rng.normal()) * sample_rate))
            place(track, play(note.pitch, note.length * eighth), at, note.level * rng.uniform(0.9, 1.0))
        level, pan = balance[part]
        _add(mix, track, level / _loudness(track), pan)
    drums = _play_drums(style, n_bars, total, sample_rate, rng)
    for pan, track in drums:
        _add(mix, track, 0.55, pan)
    room = np.stack(
        [
            reverberate(mix.mean(axis=1), sample_rate, rng, t60=style.hall, wet=1.0, tail=0.0)
            for _ in range(2)
        ],
        axis=1,
    ) - mix.mean(axis=1, keepdims=True)
    wet = 0.12 + 0.06 * style.hall
    return finish(np.tanh(1.1 * (mix + wet * room)), sample_rate, peak=0.9, fade=1.2)


def _loudness(track: Float64) -> float:
    """Root mean square of what is not silence."""
    power = track**2
    return float(np.sqrt(power[power > 0.001 * power.max()].mean())) + 1e-12


def _add(mix: Float64, track: Float64, level: float, pan: float) -> None:
    angle = np.pi / 4 * (1 + pan)
    mix[:, 0] += level * np.sqrt(2) * np.cos(angle) * track
    mix[:, 1] += level * np.sqrt(2) * np.sin(angle) * track


def _play_drums(
    style: _Style, n_bars: int, total: int, sample_rate: int, rng: np.random.Generator
) -> list[tuple[float, Float64]]:
    n = sample_rate // 2
    kit = {
        "kick": (0.0, 0.8 * instruments.kick(n, sample_rate, rng)),
        "snare": (0.1, 0.55 * instruments.snare(n, sample_rate, rng)),
        "clap": (-0.1, 0.45 * instruments.clap(n, sample_rate, rng)),
        "hat": (0.4, 0.2 * instruments.hat(n, sample_rate, rng)),
        "tom": (-0.3, 0.6 * instruments.tom(n, sample_rate, rng, pitch=85)),
    }
    eighth = 30 / style.tempo
    tracks = []
    for part, pattern in style.drums.items():
        pan, blow = kit[part]
        track = np.zeros(total)
        for at in range(n_bars * style.eighths):
            bar, beat = divmod(at, style.eighths)
            mark = pattern[beat]
            if bar % 4 == 3 and beat >= style.eighths - 3 and part in ("snare", "tom"):
                mark = "x"  # a fill into the next phrase
            if mark == "." or (bar == 0 and part != "hat"):
                continue
            late = at + (style.swing if at % 2 else 0.0)
            moment = max(0, round((late * eighth + style.looseness * rng.normal()) * sample_rate))
            place(track, blow, moment, (0.4 if mark == "-" else 0.9) * rng.uniform(0.85, 1.0))
        tracks.append((pan, track))
    return tracks


def _player(instrument: str, longest: float, sample_rate: int, seed: int) -> Callable[[int, float], Float64]:
    """Return a function (MIDI number, seconds) → note; a pitch is synthesised once, ``longest``, and cut."""
    release = 0.18 if instrument in ("pad", "voice", "flute") else 0.1

    @cache
    def whole(pitch: int) -> Float64:
        rng = np.random.default_rng([seed, pitch])
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        n = round((longest + release) * sample_rate)
        if instrument == "string":
            return instruments.string(hertz, n, sample_rate, rng, t60=2.8, brightness=0.55, stiffness=0.001)
        if instrument == "bell":
            return instruments.bell(hertz, n, sample_rate, rng, kind="glockenspiel", t60=1.6, hardness=0.6)
        if instrument == "voice":
            time = np.arange(n) / sample_rate
            vibrato = 1 + 0.012 * np.sin(2 * np.pi * 5.3 * time) * np.minimum(time / 0.7, 1)
            throat = np.array([[0.0, *(1.12 * np.array(instruments.VOWELS["a" if pitch % 2 else "o"]))]])
            return instruments.sing(hertz * vibrato, 1 - np.exp(-time / 0.06), throat, sample_rate, rng)
        return {
            "flute": instruments.flute,
            "pad": instruments.pad,
            "electric piano": instruments.electric_piano,
            "synth bass": instruments.synth_bass,
        }[instrument](hertz, n, sample_rate, rng)

    def play(pitch: int, seconds: float) -> Float64:
        tail = round(release * sample_rate)
        note = whole(pitch)[: round(seconds * sample_rate) + tail].copy()
        tail = min(tail, len(note))
        note[len(note) - tail :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(tail) / tail)
        return note

    return play
