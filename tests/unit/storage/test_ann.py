from __future__ import annotations

import numpy as np
import pytest

from echoic.storage.vectors.ann import InvertedFile, nearest
from echoic.types import Float32

DIM = 32


def clouds(n: int, n_centres: int = 300, seed: int = 0) -> Float32:
    """Unit vectors in tight clouds around centres that are the same for every seed."""
    centres = np.random.default_rng(99).standard_normal((n_centres, DIM))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, n_centres, n)] + 0.3 * rng.standard_normal((n, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def matrix() -> Float32:
    return clouds(20_000)


@pytest.fixture(scope="module")
def inverted_file(matrix: Float32) -> InvertedFile:
    return InvertedFile.build(matrix)


def plain(matrix: Float32, queries: Float32, k: int, rows: np.ndarray) -> np.ndarray:
    scores = queries.astype(np.float64) @ matrix[rows].T.astype(np.float64)
    return rows[np.argsort(-scores, axis=1, kind="stable")[:, :k]]


def share_found(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth, strict=True)]))


@pytest.mark.parametrize("n_queries", [1, 9, 130])
@pytest.mark.parametrize("selected", ["all", "rows", "mask"])
def test_nearest_is_what_sorting_all_gives(matrix: Float32, n_queries: int, selected: str) -> None:
    some = np.flatnonzero(np.random.default_rng(1).random(len(matrix)) < 0.3)
    queries = clouds(n_queries, seed=5)
    if selected == "all":
        some = np.arange(len(matrix))
        found, scores = nearest(matrix, queries, 20)
    elif selected == "rows":
        found, scores = nearest(matrix, queries, 20, rows=some)
    else:
        found, scores = nearest(matrix, queries, 20, mask=np.isin(np.arange(len(matrix)), some))
    # float32 rounding may exchange rows whose scores are all but equal.
    assert share_found(found, plain(matrix, queries, 20, some)) > 0.999
    exact = np.take_along_axis(queries.astype(np.float64) @ matrix.T.astype(np.float64), found, axis=1)
    np.testing.assert_allclose(scores, exact, atol=1e-6)
    assert (np.diff(scores) <= 0).all()


def test_nearest_shows_the_first_of_many_equals(matrix: Float32) -> None:
    # More equal rows than are looked at on the first try, in the order least like their ids'.
    repeated = np.concatenate([matrix[:500], np.repeat(matrix[7:8], 3_000, axis=0), matrix[500:]])
    found, scores = nearest(repeated, matrix[7:8], 40)
    assert found[0].tolist() == [7, *range(500, 539)]
    assert len(set(scores[0].tolist())) == 1


def test_nearest_of_nothing() -> None:
    found, scores = nearest(np.empty((0, DIM), np.float32), clouds(3), 5)
    assert found.shape == scores.shape == (3, 0)


def test_few_products_are_made_as_many_are(matrix: Float32) -> None:
    queries = clouds(40, seed=6)  # together beyond what NumPy does alone, one by one within
    together = nearest(matrix, queries, 20)
    for row, query in enumerate(queries):
        found, scores = nearest(matrix, query[None], 20)
        np.testing.assert_array_equal(found[0], together[0][row])
        np.testing.assert_allclose(scores[0], together[1][row], atol=1e-6)


def test_threads_are_left_as_they_were(matrix: Float32) -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(2)
        nearest(np.tile(matrix, (6, 1)), clouds(5), 5)
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


def test_inverted_file_looks_into_few_cells_and_finds_nearly_all(
    matrix: Float32, inverted_file: InvertedFile
) -> None:
    queries = clouds(200, seed=5)
    found, scores = inverted_file.search(matrix, queries, 20)
    assert inverted_file.n_probe < inverted_file.n_lists / 4
    assert share_found(found, plain(matrix, queries, 20, np.arange(len(matrix)))) >= 0.95
    exact = np.take_along_axis(queries @ matrix.T, found, axis=1)
    np.testing.assert_allclose(scores, exact, atol=1e-6)  # of the vectors, not of their codes
    assert (np.diff(scores) <= 0).all()


def test_inverted_file_keeps_its_recall_under_a_filter(matrix: Float32, inverted_file: InvertedFile) -> None:
    queries = clouds(100, seed=6)
    mask = np.random.default_rng(2).random(len(matrix)) < 0.3
    found, _ = inverted_file.search(matrix, queries, 20, mask=mask)
    assert mask[found].all()
    assert share_found(found, plain(matrix, queries, 20, np.flatnonzero(mask))) >= 0.95


def test_inverted_file_never_gives_fewer_than_there_are(matrix: Float32, inverted_file: InvertedFile) -> None:
    query = clouds(1, seed=7)
    far = np.argsort(matrix @ query[0])[:30]  # in none of the cells that a search would look into
    mask = np.isin(np.arange(len(matrix)), far)
    found, _ = inverted_file.search(matrix, query, 50, mask=mask)
    assert sorted(found[0]) == sorted(far)
    found, _ = inverted_file.search(matrix, query, 19_990)
    assert (found >= 0).all()
    assert len(set(found[0].tolist())) == 19_990


def test_inverted_file_of_vectors_without_clusters_answers_exactly() -> None:
    vectors = np.random.default_rng(0).standard_normal((4_000, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    inverted_file = InvertedFile.build(vectors)
    found, _ = inverted_file.search(vectors, vectors[:50], 20)
    assert share_found(found, plain(vectors, vectors[:50], 20, np.arange(4_000))) >= 0.95


def test_inverted_file_survives_writing_and_reading(
    matrix: Float32, inverted_file: InvertedFile, tmp_path
) -> None:
    inverted_file.write(tmp_path / "codes")
    again = InvertedFile.read(tmp_path / "codes")
    assert again.shape == matrix.shape
    assert again.n_probe == inverted_file.n_probe
    queries = clouds(20, seed=8)
    np.testing.assert_array_equal(
        again.search(matrix, queries, 20)[0], inverted_file.search(matrix, queries, 20)[0]
    )


def test_inverted_file_refuses_another_kind_of_index(tmp_path) -> None:
    import faiss

    faiss.write_index(faiss.IndexFlatIP(DIM), str(tmp_path / "flat"))
    with pytest.raises(TypeError, match="IndexFlat"):
        InvertedFile.read(tmp_path / "flat")
