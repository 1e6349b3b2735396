"""What teaches sound by a tagger: which files it may hear, and mixes that both networks hear alike."""

import csv
import zipfile
from itertools import pairwise

import numpy as np
import pytest

from echoic.training.loop import DEFAULT_FRONT_END
from tests.recipes import of_the_recipe

torch = pytest.importorskip("torch")


class Loudness:
    """Stands for the tagger: tells of a mix the power in each of its bands."""

    def __call__(self, powers):
        told = np.stack([np.pad(power.sum(axis=0), (0, 527 - 128)) for power in powers]).astype(np.float32)
        return told, np.ascontiguousarray(told[:, :384])


@pytest.fixture(scope="module")
def packages():
    return of_the_recipe("sound", "packages")


@pytest.fixture(scope="module")
def mixes():
    return of_the_recipe("sound", "mixes")


@pytest.fixture(scope="module")
def match():
    return of_the_recipe("sound", "match")


@pytest.fixture(scope="module")
def seen(mixes, packages, tmp_path_factory):
    """Thirty clips of three classes, one that is not in the manifest, and ten of a package."""
    folder, rng = tmp_path_factory.mktemp("seen"), np.random.default_rng(0)
    labels = [f"class {i % 3}" for i in range(30)] + ["other"] + [""] * 10
    paths = [f"{i}.wav" for i in range(len(labels))]
    n = rng.integers(8, 300, len(labels))
    np.savez(
        folder / "0000.npz",
        tried=paths,
        paths=paths,
        labels=labels,
        sources=[packages.PACKAGES[0].name] * len(labels),
        n_levels=n,
        n_powers=2 * n,
        levels=rng.uniform(-90, 0, (n.sum(), 64)).astype(np.float16),
        powers=rng.uniform(-20, 5, (2 * n.sum(), 128)).astype(np.float16),
    )
    manifest = folder / "sound.tsv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["path", "label", "licence", "weight"])
        writer.writerows([path, label, "CC0", 1] for path, label in zip(paths[:30], labels, strict=False))
    return mixes.Seen(folder, manifest)


def test_no_package_forbids_commercial_use(packages):
    assert len({package.name for package in packages.PACKAGES}) == len(packages.PACKAGES)
    for package in packages.PACKAGES:
        assert package.licences
        assert not {"NC", "ND", "sampling"} & set(package.licences.replace("-", " ").split())


def test_what_is_heard_of_a_package(packages, tmp_path):
    spoken, few = packages.MOST_SPOKEN, packages.PACKAGES[0].name
    folder = tmp_path / few
    folder.mkdir()
    for number in range(spoken + 5):
        (folder / f"word_desc_{number}.ogg").write_bytes(f"word {number}".encode())
    for name, content in {"a.wav": b"bark", "b.OGG": b"meow", "again.wav": b"bark", "c.png": b"no"}.items():
        (folder / name).write_bytes(content)
    heard = [path for package, path in packages.chosen(tmp_path) if package.name == few]
    assert len(heard) == spoken + 2
    assert {path.read_bytes() for path in heard} >= {b"bark", b"meow"}
    assert heard == [path for _, path in packages.chosen(tmp_path)]


def test_of_an_archive_the_audio_is_kept(packages, tmp_path):
    archive = tmp_path / "game.pk3"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("sound/step.ogg", b"step")
        file.writestr("maps/one.bsp", b"map")
        file.writestr("music/long.wav", b"\0" * (packages.LARGEST + 1))
    packages.unzip(archive)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["step.ogg"]


def test_what_may_not_be_trained_on_is_not_drawn(seen):
    assert seen.names == ["class 0", "class 1", "class 2"]
    assert len(seen.paths) == 40
    assert "30.wav" not in seen.paths
    assert (seen.labels[-10:] == -1).all()
    assert (seen.weights > 0).sum() == 30


def test_powers_add_as_sounds_do(mixes):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1, 80_000)).astype(np.float32)
    mine = [np.float32(10) ** (DEFAULT_FRONT_END(x)[0] / 10) for x in (a, b[:, :40_000])]
    played = np.concatenate([a[:, :40_000] + b[:, :40_000], a[:, 40_000:]], axis=1)
    heard = np.float32(10) ** (DEFAULT_FRONT_END(played)[0] / 10)
    made = mixes.summed(*mine)
    assert made.shape == heard.shape
    for part in (slice(0, 100), slice(130, None)):  # both sound, and one alone
        assert 10 * np.log10(made[part].mean() / heard[part].mean()) == pytest.approx(0, abs=0.3)


def test_pupil_and_teacher_hear_the_same_mix(mixes, seen):
    """What is mixed equally loud for the pupil is so for the teacher, whatever the levels of the files."""
    mixer = mixes.Mixer(seen, Loudness(), 0)
    mixer.window = lambda clip, n, rng: (
        np.full((n, 64), 10.0 ** -(clip % 5), np.float32),
        np.full((2 * n, 128), 10.0 ** -(clip % 5), np.float32),
    )
    batch = mixer.mix(0)
    mixed = batch.share < 1
    assert 0 < mixed.sum() < len(mixed)
    np.testing.assert_allclose(batch.log_mel[mixed].max(axis=(1, 2)), 0, atol=1e-3)
    sums = batch.vectors[mixed].max(axis=1) / (2 * batch.log_mel.shape[1])
    np.testing.assert_allclose(sums, 1, rtol=1e-3)


def test_a_step_is_a_function_of_its_number(mixes, seen):
    first, second = (mixes.Mixer(seen, Loudness(), 7) for _ in range(2))
    for step in (0, mixes.TWICE, 3 * mixes.TWICE + 1):
        one = first.batch(step)
    for name, value in zip(one._fields, second.batch(step), strict=True):
        np.testing.assert_array_equal(getattr(one, name), value, err_msg=name)
    assert (one.labels[: -mixes.N_OTHERS] >= 0).all()
    assert (one.partner_labels[: -mixes.N_OTHERS] >= 0).all()


def test_a_mix_is_met_again_and_looks_otherwise(mixes, seen):
    mixer = mixes.Mixer(seen, Loudness(), 1)
    once, again = mixer.batch(2), mixer.batch(2 + mixes.TWICE)
    np.testing.assert_array_equal(once.vectors, again.vectors)
    np.testing.assert_array_equal(once.labels, again.labels)
    assert np.abs(once.log_mel - again.log_mel).max() > 1


def test_a_pupil_who_says_the_same_has_nothing_to_learn(match):
    torch.manual_seed(0)
    vectors = torch.randn(1024, 384)
    matching = match.Match(match.PARTS, vectors.numpy())
    his = matching.targets(vectors)
    assert his.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        matching.guess.weight.copy_(torch.eye(match.PARTS))
        matching.guess.bias.zero_()
    logits = torch.randn(1024, 527) - 4
    for rows in range(0, 1024, 256):
        part = slice(rows, rows + 256)
        apart, near, tags = matching(his[part], vectors[part], logits[part])
    assert apart.item() == pytest.approx(0, abs=1e-5)
    assert tags.item() > 0.1
    strangers = torch.nn.functional.normalize(torch.randn(256, match.PARTS), dim=1)
    apart, far, _ = matching(strangers, vectors[:256], logits[:256])
    assert apart.item() > 0.5
    assert far.item() > near.item() > 0


def test_it_begins_where_the_linear_maps_fit(match, mixes, seen):
    """Of a pupil who knows what the teacher knows, as a linear map of it, all is told at once."""
    mixer = mixes.Mixer(seen, Loudness(), 0)
    rng = np.random.default_rng(0)
    known = rng.standard_normal((400, 24)).astype(np.float32)
    heard = mixes.Examples(
        np.pad(known[:, None], ((0, 0), (0, 0), (0, 40))),
        known @ rng.standard_normal((24, 384)).astype(np.float32),
        known @ rng.standard_normal((24, 527)).astype(np.float32),
    )

    class Pupil(torch.nn.Module):
        def forward(self, x):
            return x[:, 0, :24]

    objective = match.make_objective("supcon", dim=24, n_classes=3, classify=1)
    matching = match.Match(24, heard.vectors)
    match.settle(Pupil(), objective, matching, mixer, heard)
    mine = torch.from_numpy(known)
    told = matching.tags(matching.scale * mine).detach().numpy()
    assert np.abs(told - heard.tags).mean() < 0.02 * np.abs(heard.tags).mean()
    assert objective.classifier.centres.norm(dim=1).detach().numpy() == pytest.approx(1, abs=1e-5)


def test_the_rate_falls_at_the_end_alone(match):
    rates = [match.rate(step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(match.RATE / match.WARM_UP)
    assert rates[500] == match.rate(500, 100_000) == match.RATE
    assert rates[1000] == 0
    assert all(before > after for before, after in pairwise(rates[700:]))


def test_the_card_says_by_which_command_a_model_was_made():
    command = of_the_recipe("sound", "ship").command
    about = {"data": {"name": "sound4"}, "seed": 3, "started_from": {"recipe": "cnn-supcon"}}
    matched = about | {"recipe": "recipes/sound/match.py", "steps": 500, "teacher": {"name": "mn04"}}
    assert command(matched).endswith(
        "match.py seen --manifest sound4.tsv --tagger TAGGER --start earlier.echoic --steps 500 --seed 3"
    )
    trained = {"recipe": "cnn-supcon", "classify": 2.0, "config": {"dim": 128}, "minutes": 38.2}
    assert command(about | trained | {"teacher": {"name": "aisfx-0.1.2", "weight": 8.0}}) == (
        "echoic train sound4.tsv --recipe cnn-supcon --classify 2 --validation 0 --dim 128 --minutes 38 "
        "--threads 1 --seed 3 --start earlier.echoic --teacher teacher.npz --distil 8"
    )
