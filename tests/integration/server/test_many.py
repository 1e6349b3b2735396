"""Many clients at once: each gets its own answer, whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil

from benchmarks import serving
from echoic.audio.decode import read_audio
from echoic.audio.synthesis import make_sound
from tests.integration.server.conftest import RATE

N_CLIENTS, N_ROUNDS = 12, 3


def test_many_clients_each_get_their_own_answer(ask, place, ids):
    sound = (place.sounds / "rain.wav").read_bytes()
    rain, drive = ids["rain.wav"], ids["drive.mp3"]
    asked = [
        ("/v1/search", {"text": "rain"}, {}),
        ("/v1/search", {"text": "rain qwxyz"}, {}),  # of which something is noted
        ("/v1/search", {"file": drive, "start": 2, "end": 7}, {}),
        ("/v1/search", {"k": 2}, {"method": "POST", "body": sound}),
        ("/v1/identify", {"file": drive}, {}),
        ("/v1/files", {"limit": 3}, {}),
        (f"/v1/files/{rain}/audio", None, {"headers": {"Range": "bytes=100-199"}}),
        (f"/v1/files/{rain}/audio", {"start": 0.5, "end": 1.25}, {}),
        (f"/v1/files/{drive}/peaks", {"n": 10}, {}),
    ]

    def answer(number):
        route, parameters, options = asked[number % len(asked)]
        status, _, body = ask(route, parameters, **options)
        return number % len(asked), status, body

    alone = {number: answer(number)[1:] for number in range(len(asked))}
    with ThreadPoolExecutor(N_CLIENTS) as clients:
        for number, status, body in clients.map(answer, range(N_ROUNDS * len(asked))):
            assert (status, body) == alone[number], asked[number]
    assert {status for status, _ in alone.values()} == {200, 206}
    assert ask.service.work.n_taken == ask.service.looks.n_taken == 0
    assert list(ask.service.uploads.folder.iterdir()) == []


def test_the_benchmark_asks_all_that_it_says_and_counts_what_fails(ask, place, ids):
    rng = np.random.default_rng(0)
    drive, _ = read_audio(place.sounds / "pieces" / "drive.mp3", RATE)
    clips = serving.cuts([make_sound("rain", 0, sample_rate=RATE)], 1.0, 2, 0.0, rng)
    mix = serving.Mix({ids["drive.mp3"]: 24.0}, {}, clips, serving.cuts([drive], 4.0, 2, 0.0, rng), 0.2)
    told = serving.press(ask.address, psutil.Process(), mix, 2, lambda asked: asked < 24)
    assert len(told.took) >= 24
    assert told.errors == []
    assert set(told.kinds) <= set(serving.SHARES)
    assert 0 < told.percentile(50) <= told.percentile(95) <= told.seconds
    assert sum(len(told.of(kind).took) for kind in serving.SHARES) == len(told.took)
    assert serving.row("two clients", told)[-1] == "0"
    mix.ids, mix.repeats = {987_654: 24.0}, 0.0
    told = serving.press(ask.address, psutil.Process(), mix, 1, lambda asked: asked < 12)
    assert len(told.errors) == len([kind for kind in told.kinds if kind == "part"]) > 0
