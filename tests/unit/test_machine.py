"""What of the machine is used, and given back."""

import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from echoic.machine import ahead, n_cores, one_thread_for_algebra


def blas_threads(of="numpy"):
    """Threads of the library that multiplies matrices for a package."""
    return {
        pool["num_threads"]
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and of in pool["filepath"]
    }


def test_there_is_a_core():
    assert n_cores() >= 1


def test_work_done_ahead_comes_in_order_and_not_much_before_it_is_wanted():
    taken, threads = [], set()

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    def work(item):
        threads.add(threading.get_ident())
        return -item

    for n, (item, made) in enumerate(ahead(work, items())):
        assert (item, made) == (n, -n)
        assert len(taken) <= n + 2 + n_cores()
    assert len(taken) == 100
    assert threading.get_ident() not in threads


def test_what_goes_wrong_ahead_is_raised_and_ends_it():
    begun = []

    def work(item):
        begun.append(item)
        return 1 // (5 - item)

    with pytest.raises(ZeroDivisionError):
        list(ahead(work, iter(range(1_000_000))))
    assert len(begun) < 100


def test_overlapping_contexts_give_numpy_its_threads_back():
    with threadpool_limits(limits=3, user_api="blas"):
        before = blas_threads()
        assert before == {3}
        first, second = one_thread_for_algebra(), one_thread_for_algebra()
        first.__enter__()
        assert blas_threads() == {1}
        second.__enter__()
        first.__exit__(None, None, None)
        assert blas_threads() == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before


def test_an_error_gives_them_back_too():
    with threadpool_limits(limits=3, user_api="blas"):
        try:
            with one_thread_for_algebra():
                raise RuntimeError
        except RuntimeError:
            pass
        assert blas_threads() == {3}


def test_faiss_keeps_its_threads():
    import faiss  # noqa: F401 - so that its library is loaded

    with threadpool_limits(limits=3, user_api="blas"):
        of_faiss = blas_threads("faiss")
        with one_thread_for_algebra():
            assert blas_threads("faiss") == of_faiss
            assert blas_threads() == {1}
