"""What writes down speech: Whisper, run by CTranslate2, where somebody speaks.

Silero's voice activity tells where that is; stretches of up to 28 s are given to the network, a few at a
time, each in its own language. What it makes up, where nobody speaks or over and over, is told by how sure
it is, by how well it compresses and by the voice in each word.

References
----------
Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023: the thresholds of
section 4.5.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from echoic.encoders.families import models_folder
from echoic.errors import MissingDependencyError, WeightsError, quoted
from echoic.heard.stretches import FRAME, LONGEST, Chances, lines, spoken, trimmed
from echoic.heard.subtitles import within
from echoic.machine import n_cores
from echoic.types import Cue, Float32, TrackChoice, Transcript, Word

__all__ = ["CARD", "NAME", "NOBODY", "Recogniser", "load_recogniser", "need_recogniser"]

#: By which it is added: ``echoic models add transcripts``.
NAME = "transcripts"
#: What is told where it was not added.
NOBODY = f"nothing here writes down speech; fetch it with: echoic models add {NAME}"
#: What is noted of it, beside its weights.
CARD = "card.json"

_RATE = 16_000  # Hz
_SAMPLES = round(FRAME * _RATE)  # of a frame
_QUIET = 31  # frames of silence first, without which it misses the first words
_PIECE = 240.0  # s that are looked through at once for speech
_BATCH = 4  # stretches
_BEAM = 5
_TEMPERATURES = (0.0, 0.4, 0.8)  # the next is tried where what came is no good
_LEAST_LOG, _NO_SPEECH, _LEAST_SILENT_LOG = -1.0, 0.6, -0.6  # of a token, in the mean
_MOST_COMPRESSION = 2.4
_MOST_TOKENS = 224
_SURE, _ENOUGH = 3.0, 5.0  # nepers for the language before, and s that tell a language surely
_FRAMES_A_SECOND = 100
_MOST_FRAMES = 3_000  # that the network takes
_FEWEST_FRAMES, _SILENT_FRAMES = 1_000, 200  # with which it hears as well as with all, in a third of the time
_BEFORE, _AFTER = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # signs of the word after and before them


class _Stretch(NamedTuple):
    start: float  # s
    samples: Float32
    chances: Chances


class _Guess(NamedTuple):
    tokens: list[int]
    log: float  # of a token's probability, in the mean
    no_speech: float

    def is_good(self, text: str) -> bool:
        return self.log >= _LEAST_LOG and _compression(text) <= _MOST_COMPRESSION


def load_recogniser() -> Recogniser | None:
    """Load what writes down speech; None where it was not added to this installation.

    Raises
    ------
    MissingDependencyError
        If it was added, and what runs it is not installed.
    WeightsError
        If its weights are damaged.
    """
    folder = models_folder() / NAME
    return Recogniser(folder) if (folder / CARD).is_file() else None


def need_recogniser(name: str) -> Recogniser:
    """Load what writes down speech, for a file of that name.

    Raises
    ------
    MissingDependencyError, WeightsError
        If it is not here; the message says how it comes here.
    """
    if find_spec("faster_whisper") is None:
        raise MissingDependencyError(f"{name} has no subtitles; transcribing it", NAME)
    recogniser = load_recogniser()
    if recogniser is None:
        raise WeightsError(f"{name} has no subtitles, and {NOBODY}")
    return recogniser


class Recogniser:
    """Whisper, as it was added to this installation.

    Attributes
    ----------
    key : str
        Its name and the first digits of its weights' digest.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from faster_whisper import WhisperModel
            from faster_whisper.vad import get_vad_model
        except ImportError as error:
            raise MissingDependencyError("transcribing", NAME) from error
        again = "add them anew: echoic models remove transcripts; echoic models add transcripts"
        try:
            card = json.loads((folder / CARD).read_text("utf-8"))
            for name, digest in card["sha256"].items():
                with (folder / name).open("rb") as content:
                    if hashlib.file_digest(content, "sha256").hexdigest() != digest:
                        raise ValueError(f"{name} is not the file that was added")
            self.key = f"{card['name']}@{card['revision']}"
            self._whisper: Any = WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=n_cores(), local_files_only=True
            )
        except (OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise WeightsError(f"the weights in {quoted(folder)} cannot be used ({said}); {again}") from error
        self._voice: Any = get_vad_model()
        self._tokenizers: dict[str, Any] = {}

    def transcribe(
        self,
        path: Path,
        *,
        track: TrackChoice | None = None,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Transcript:
        """Write down what is said in a file.

        The sides of a call, on two channels, are each listened to by themselves, and are its voices.

        Parameters
        ----------
        path : Path
        track : int, "all" or "mix", optional
            Of several tracks, the one that is listened to; of all, their mix.
        progress : callable, optional
            Told the seconds of sound that have been dealt with since it was told last.

        Raises
        ------
        AudioError
            If the file cannot be decoded.
        """
        from echoic.audio.decode import open_audio
        from echoic.heard.sides import SIDES, has_sides

        number = track if isinstance(track, int) else None
        if isinstance(track, str) or not has_sides(path, number):
            with _opened(path, track) as sound:
                cues = list(self._heard(sound.blocks(), sound.sample_rate, progress))
                return Transcript(within(cues, sound.info.duration), self.key)
        both: list[Cue] = []
        for channel, side in enumerate(SIDES):
            with open_audio(path, mono=False, track=number) as stream:
                blocks = (np.ascontiguousarray(block[:, channel]) for block in stream.blocks())
                tell = progress if not channel else _tell_nobody
                both += [replace(cue, voice=side) for cue in self._heard(blocks, stream.sample_rate, tell)]
                duration = stream.info.duration
        return Transcript(within(sorted(both, key=lambda cue: cue.start), duration), self.key)

    def voice(self, path: Path, track: TrackChoice | None = None) -> Chances:
        """Tell how likely somebody speaks in each frame of a file (:data:`~echoic.heard.stretches.FRAME`).

        Raises
        ------
        AudioError
            If the file cannot be decoded.
        """
        with _opened(path, track) as sound:
            blocks = _resampled(sound.blocks(), sound.sample_rate)
            pieces: list[Chances] = []
            kept = np.empty(0, np.float32)
            for piece in _gathered(blocks, _PIECE):
                samples = np.concatenate([kept, piece.samples])
                n = len(samples) if piece.is_last else len(samples) // _SAMPLES * _SAMPLES
                pieces.append(self._chances(samples[:n]))
                kept = samples[n:]
        return np.concatenate(pieces)

    def _heard(
        self, blocks: Iterable[Float32], sample_rate: int, progress: Callable[[float], None]
    ) -> Iterator[Cue]:
        """Write down what is said in sound, in blocks of shape (n,), in order of time."""
        language, told = "", 0.0
        for some in self._stretches(_resampled(blocks, sample_rate)):
            cues, language = self._written(some, language)
            yield from cues
            done = some[-1].start + len(some[-1].samples) / _RATE
            progress(done - told)
            told = done

    def _stretches(self, blocks: Iterator[Float32]) -> Iterator[list[_Stretch]]:
        """Find where somebody speaks, a piece at a time, and hand on a few stretches at a time."""
        kept, begun = np.empty(0, np.float32), 0  # samples, and the number of the first of them
        some: list[_Stretch] = []
        for block in _gathered(blocks, _PIECE):
            piece = np.concatenate([kept, block.samples])
            chances = self._chances(piece)
            stretches = spoken(chances)
            n_left = 0 if block.is_last else round(LONGEST / FRAME)
            sure = [one for one in stretches if one[1] <= len(chances) - n_left]
            for first, past in sure:
                samples = piece[first * _SAMPLES : past * _SAMPLES]
                start = (begun + first * _SAMPLES) / _RATE
                some.append(_Stretch(start, samples, chances[first:past]))
                if len(some) == _BATCH:
                    yield some
                    some = []
            # What may go on is looked at once more, with what follows.
            least = len(chances) - n_left
            rest = min([one[0] for one in stretches if one[1] > least] + [max(least, 0)])
            cut = max(rest, sure[-1][1] if sure else 0) * _SAMPLES
            kept, begun = piece[cut:], begun + min(cut, len(piece))
        if some:
            yield some

    def _chances(self, samples: Float32) -> Chances:
        if not len(samples):
            return np.empty(0, np.float32)
        padded = np.pad(samples, (_QUIET * _SAMPLES, -len(samples) % _SAMPLES))
        chances: Chances = np.asarray(self._voice(padded), np.float32).reshape(-1)[_QUIET:]
        return chances

    def _written(self, some: Sequence[_Stretch], language: str) -> tuple[list[Cue], str]:
        """Write down a few stretches → their lines, and the language of the last."""
        whisper = self._whisper
        features = _fitted([whisper.feature_extractor(one.samples)[..., :-1] for one in some])
        encoded = whisper.encode(features)
        languages = []
        for one, chances in zip(some, self._languages(encoded, len(some)), strict=True):
            language = _likely(chances, language, len(one.samples) / _RATE)
            languages.append(language)
        guesses = self._guesses(encoded, languages)
        cues: list[Cue] = []
        for at, (one, guess) in enumerate(zip(some, guesses, strict=True)):
            tokenizer = self._tokenizer(languages[at])
            text = tokenizer.decode(guess.tokens).strip()
            for temperature in _TEMPERATURES[1:]:
                if guess.is_good(text) or _is_silence(guess):
                    break
                again = self._guesses(whisper.encode(features[at]), languages[at : at + 1], temperature)[0]
                if again.log > guess.log or _compression(text) > _MOST_COMPRESSION:
                    guess, text = again, tokenizer.decode(again.tokens).strip()
            if not text or _is_silence(guess) or _compression(text) > _MOST_COMPRESSION:
                continue
            words = self._words(
                encoded if len(some) == 1 else whisper.encode(features[at]), guess, one, tokenizer
            )
            cues += lines(trimmed(words, one.chances, one.start), languages[at])
        return cues, language

    def _languages(self, encoded: Any, n: int) -> list[dict[str, float]]:
        if not self._whisper.model.is_multilingual:
            return [{"en": 1.0}] * n
        told = self._whisper.model.detect_language(encoded)
        return [{token[2:-2]: chance for token, chance in one} for one in told]

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            from faster_whisper.tokenizer import Tokenizer

            whisper = self._whisper
            self._tokenizers[language] = Tokenizer(
                whisper.hf_tokenizer, whisper.model.is_multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]

    def _guesses(self, encoded: Any, languages: Sequence[str], temperature: float = 0.0) -> list[_Guess]:
        from faster_whisper.transcribe import get_suppressed_tokens

        tokenizers = [self._tokenizer(language) for language in languages]
        how: dict[str, Any] = {"beam_size": _BEAM}
        if temperature:
            how = {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": temperature}
        results = self._whisper.model.generate(
            encoded,
            [[*one.sot_sequence, one.no_timestamps] for one in tokenizers],
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizers[0], [-1]),
            max_length=_MOST_TOKENS,
            **how,
        )
        guesses = []
        for result in results:
            tokens = list(result.sequences_ids[0])
            log = result.scores[0] * len(tokens) / (len(tokens) + 1)
            guesses.append(_Guess(tokens, log, result.no_speech_prob))
        return guesses

    def _words(self, encoded: Any, guess: _Guess, one: _Stretch, tokenizer: Any) -> list[Word]:
        """Find when each word is said, by where the network looks as it writes."""
        from faster_whisper.transcribe import merge_punctuations

        tokens = [token for token in guess.tokens if token < tokenizer.eot]
        n_frames = math.ceil(len(one.samples) / _RATE * _FRAMES_A_SECOND)
        (alignment,) = self._whisper.find_alignment(tokenizer, [tokens], encoded, [n_frames])
        merge_punctuations(alignment, _BEFORE, _AFTER)
        return [
            Word(
                one.start + float(word["start"]),
                one.start + float(word["end"]),
                word["word"],
                float(word["probability"]),
            )
            for word in alignment
            if word["word"].strip()
        ]


class _Piece(NamedTuple):
    samples: Float32
    is_last: bool


def _gathered(blocks: Iterator[Float32], seconds: float) -> Iterator[_Piece]:
    some: list[Float32] = []
    n = 0
    for block in blocks:
        some.append(block)
        n += len(block)
        if n >= seconds * _RATE:
            yield _Piece(np.concatenate(some), is_last=False)
            some, n = [], 0
    yield _Piece(np.concatenate([np.empty(0, np.float32), *some]), is_last=True)


def _tell_nobody(_: float) -> None:
    """Take what has been dealt with, where the same sound counts once."""


def _fitted(features: Sequence[Float32]) -> Float32:
    """Make spectrograms, (bands, n) each, of one length: that of the longest, and what the network needs."""
    from faster_whisper.audio import pad_or_trim

    longest = max(one.shape[-1] for one in features)
    n_frames = min(max(longest + _SILENT_FRAMES, _FEWEST_FRAMES), _MOST_FRAMES)
    return np.stack([pad_or_trim(one, n_frames) for one in features])


def _likely(chances: dict[str, float], before: str, seconds: float) -> str:
    """Say which language is spoken: of a short stretch rather the one before."""
    weight = min(1.0, seconds / _ENOUGH)
    return max(
        chances,
        key=lambda one: (
            weight * math.log(max(chances[one], 1e-9)) + _SURE * (1 - weight / 2) * (one == before)
        ),
    )


def _is_silence(guess: _Guess) -> bool:
    return guess.no_speech > _NO_SPEECH and guess.log < _LEAST_SILENT_LOG


def _compression(text: str) -> float:
    content = text.encode("utf-8")
    return len(content) / len(zlib.compress(content)) if content else 0.0


def _opened(path: Path, track: TrackChoice | None) -> Any:
    """Open one track of a file, or the mix of all."""
    from echoic.audio.decode import open_audio
    from echoic.audio.mix import open_mix

    return open_mix(path) if isinstance(track, str) else open_audio(path, track=track)


def _resampled(blocks: Iterable[Float32], sample_rate: int) -> Iterator[Float32]:
    """Bring sound to the rate at which it is listened to."""
    from echoic.audio.decode import Resampler

    resampler = Resampler(sample_rate, _RATE)
    yield from map(resampler.push, blocks)
    yield resampler.finish()
