"""Encoders that come to a library, change, break and go."""

import json

import numpy as np
import pytest

from echoic import EncoderError, Library, LibraryError, UnknownEncoderError, UnreadableError
from tests.integration.conftest import ENCODERS, write_clip
from tests.models import mean_level, write_model


@pytest.fixture
def clips(folder):
    return [write_clip(folder / f"{seed}.wav", seed) for seed in range(4)]


def change_card(model, **fields):
    card = json.loads(model.with_suffix(".json").read_text())
    model.with_suffix(".json").write_text(json.dumps(card | fields))


def counts(library):
    return library.status().segments


def stored_keys(library):
    rows = library._open()[0].connection.execute(
        "SELECT name, count(*) FROM vectors JOIN collections ON collections.id = vectors.collection"
        " WHERE n_segments > 0 GROUP BY name"
    )
    return dict(rows.fetchall())


def test_a_new_revision_takes_the_place_of_the_old_in_every_file(library, index, model, clips):
    index(encoders=[str(model)])
    change_card(model, revision="2")
    report = index(clips[0], encoders=[str(model)])  # one path; yet no file may be left behind
    assert (report.encoded, report.changed, report.failed) == (4, 0, ())
    assert counts(library) == {"mean-level@2": 4}
    assert stored_keys(library) == {"mean-level@2": 4}
    assert library.check() == []
    assert len(library.search(clips[0])) == 3


def test_a_replacement_that_was_cut_off_is_finished_by_whatever_run_comes_next(
    library, index, model, clips, tmp_path
):
    elsewhere = write_clip(tmp_path / "elsewhere" / "e.wav", 9)
    index(encoders=[str(model)])
    index(elsewhere, encoders=[str(model)])
    change_card(model, revision="2")

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index(encoders=[str(model)], progress=stop)
    index(clips[0], encoders=ENCODERS)  # asks for another encoder, and for one file only
    assert counts(library) == stored_keys(library) == {"mean-level@2": 5, "spectral@1": 1}
    assert library.check() == []


def test_going_back_to_an_earlier_revision(library, index, model, clips):
    for revision in ("1", "2", "1"):
        change_card(model, revision=revision)
        index(encoders=[str(model)])
    assert counts(library) == stored_keys(library) == {"mean-level@1": 4}
    assert library.check() == []


def test_a_new_revision_tags_only_what_was_named(library, index, model, clips):
    index(encoders=[str(model)])
    change_card(model, revision="2")
    index(clips[0], encoders=[str(model)], tags=["mine"])
    assert [record.tags.get("tag") for record in library.files()] == [("mine",), None, None, None]


def test_files_removed_between_revisions_leave_nothing(library, index, model, clips):
    index(encoders=[str(model)])
    change_card(model, revision="2")
    clips[3].unlink()
    index(encoders=[str(model)])
    library.remove(clips[:1])
    assert stored_keys(library) == {"mean-level@2": 2}


def test_an_old_revision_cannot_be_asked_with_the_new(library, index, model, clips, tmp_path):
    index(encoders=[str(model)])
    change_card(model, revision="2")
    stranger = write_clip(tmp_path / "stranger.wav", 9)
    with Library(library.folder) as again, pytest.raises(LibraryError, match="made with mean-level@1"):
        again.search(stranger)


def test_an_open_library_asks_with_the_revision_that_another_brought_it_to(
    library, index, model, clips, tmp_path
):
    index(encoders=[str(model)])
    stranger = write_clip(tmp_path / "stranger.wav", 9)
    front_end = json.loads(model.with_suffix(".json").read_text())["front_end"]
    with Library(library.folder) as opened:
        before = [(hit.path, hit.score) for hit in opened.search(stranger)]
        change_card(model, revision="2", front_end=front_end | {"fmin": 300})
        assert [(hit.path, hit.score) for hit in opened.search(stranger)] == before
        index(encoders=[str(model)])
        after = opened.search(stranger)
        with Library(library.folder) as fresh:
            assert after == fresh.search(stranger)
        assert [(hit.path, hit.score) for hit in after] != before


def test_an_encoder_that_fails_blames_no_file(library, index, model, clips):
    """Its graph says nothing of the shapes that it takes: only running it can show that they differ."""
    front_end = json.loads(model.with_suffix(".json").read_text())["front_end"]
    silent = mean_level(log_mel=None, embedding=None)
    write_model(model, silent, front_end=front_end | {"n_mels": 24})
    index()
    with pytest.raises(EncoderError, match="encoder mean-level") as caught:
        index(encoders=[str(model)])
    assert "\n" not in str(caught.value)
    assert [record.state for record in library.files()] == ["indexed"] * 4
    write_model(model, silent, front_end=front_end)
    assert index(encoders=[str(model)]).encoded == 4


def test_a_card_that_cannot_be_meant_blames_no_file(library, index, model, clips):
    for wrong in ({"hop": 0}, {"window": "1.0"}, {"inputs": "audio"}, {"dim": 17}, {"window": 1e9}):
        write_model(model, **wrong)
        with pytest.raises(EncoderError, match=r"mean-level\.(json|onnx) cannot be used: ") as caught:
            index(encoders=[str(model)])
        assert next(iter(wrong)) in str(caught.value)
    index()
    assert [record.state for record in library.files()] == ["indexed"] * 4
    assert counts(library) == {"spectral@1": 4}
    write_model(model, revision="2")
    index(encoders=[str(model)])
    write_model(model, revision="3", hop=0)  # of a library that has it already
    with pytest.raises(EncoderError, match="hop is 0"):
        index(encoders=[])
    assert [record.state for record in library.files()] == ["indexed"] * 4
    assert len(library.search(clips[0], encoder="mean-level")) == 3


def test_what_a_library_says_of_its_encoders_is_checked_too(library, index, clips):
    index()
    connection = library._open()[0].connection
    whole = connection.execute("SELECT spec FROM encoders").fetchone()[0]
    wrong = [json.dumps(json.loads(whole) | {"hop": 0}), "{", "7", "{}", '{"inputs": 7}', "[" * 50_000]
    for spec in wrong:
        connection.execute("UPDATE encoders SET spec = ?", (spec,))
        with pytest.raises(LibraryError, match="says of the encoder 'spectral' cannot be used"):
            library.search(clips[0])


def test_an_encoder_that_is_gone_can_be_forgotten(library, index, model, clips):
    index()
    index(encoders=[str(model)])
    model.unlink()
    model.with_suffix(".json").unlink()
    [finding] = library.check()
    assert "mean-level.json" in finding
    assert "echoic remove --encoder mean-level" in finding
    with pytest.raises(UnknownEncoderError, match=r"mean-level\.json"):
        index(encoders=[])
    library.remove_encoder("mean-level")
    assert counts(library) == stored_keys(library) == {"spectral@1": 4}
    assert library.check() == []
    assert index(encoders=[]).unchanged == 4


def test_an_encoder_that_the_library_has_not_cannot_be_forgotten(library, index, clips):
    index()
    with pytest.raises(UnknownEncoderError, match="no encoder 'nope', only spectral"):
        library.remove_encoder("nope")


def test_a_model_that_changes_while_its_worker_lives_is_loaded_anew(library, index, model, clips):
    index(encoders=[str(model)])
    before = [
        library._open()[1].store(library.encoders()[str(model)]).fetch([r.id])[r.id].vectors
        for r in library.files()
    ]
    front_end = json.loads(model.with_suffix(".json").read_text())["front_end"]
    change_card(model, revision="2", front_end=front_end | {"fmin": 300})
    index(encoders=[str(model)])
    after = [
        library._open()[1].store(library.encoders()[str(model)]).fetch([r.id])[r.id].vectors
        for r in library.files()
    ]
    assert not any(np.allclose(a, b) for a, b in zip(before, after, strict=True))


def test_nothing_is_made_for_a_request_that_cannot_be_met(library, folder, tmp_path):
    with pytest.raises(UnreadableError, match="does not exist"):
        library.index([tmp_path / "gone"])
    with pytest.raises(UnknownEncoderError):
        library.index([folder], encoders=["nope"])
    assert not library.exists()


def test_an_empty_library_says_so(library, index, folder):
    index(encoders=ENCODERS)
    with pytest.raises(LibraryError, match="is empty; fill it with"):
        library.search(write_clip(folder / "a.wav"))


def test_a_password_in_a_stores_address_is_refused(library, folder):
    from echoic import UsageError

    write_clip(folder / "a.wav")
    with pytest.raises(UsageError, match=r"put them into \$ECHOIC_MILVUS_TOKEN") as caught:
        library.index([folder], store="http://me:secret@127.0.0.1:1")
    assert "secret" not in str(caught.value)
    assert not library.folder.exists()


def test_an_example_known_by_another_path_is_not_its_own_hit(library, index, clips, tmp_path):
    index()
    link = tmp_path / "link.wav"
    link.symlink_to(clips[0])
    assert str(clips[0]) not in {hit.path for hit in library.search(link)}
    assert library.search(link, include_query=True)[0].path == str(clips[0])


def test_another_number_of_jobs_ends_the_workers_before(tmp_path, folder):
    import psutil

    write_clip(folder / "a.wav")
    before = len(psutil.Process().children())
    with Library(tmp_path / "mine") as library:
        for jobs in (1, 2, 1):
            (folder / f"{jobs}{len(list(folder.iterdir()))}.wav").write_bytes((folder / "a.wav").read_bytes())
            library.index([folder], encoders=ENCODERS, jobs=jobs)
            assert len(psutil.Process().children()) - before <= jobs
