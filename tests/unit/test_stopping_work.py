"""Work in a thread is stopped, and nothing else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from echoic.server.limits import Pool
from echoic.server.stopping import Stoppable, StoppedError


def test_what_has_not_begun_never_does():
    called = []
    work = Stoppable(lambda: called.append(1))
    work.stop()
    with pytest.raises(StoppedError):
        work()
    assert not called


def test_what_is_over_is_left_alone():
    work = Stoppable(lambda: 5)
    assert work() == 5
    work.stop()
    assert sum(range(1_000)) == 499_500


def test_work_stops_even_if_it_loses_an_exception():
    """As where C calls Python and takes no notice of it; the thread goes on to what comes next."""
    begun, n_lost = threading.Event(), []

    def stubborn():
        for _ in range(2):
            try:
                begun.set()
                while True:
                    sum(range(100))
            except Exception as error:
                n_lost.append(error)
                if len(n_lost) == 2:
                    raise

    async def run():
        pool = Pool(1, 4)
        task = asyncio.create_task(pool.run(stubborn))
        assert await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(20):
            assert await pool.run(sum, range(100)) == 4_950
        assert pool.n_taken == 0
        pool.close()

    asyncio.run(run())
    assert len(n_lost) == 2
