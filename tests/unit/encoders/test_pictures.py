"""Pictures are made smaller and larger as torch does, in which networks of pictures are taught."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.encoders.pictures import squared

torch = pytest.importorskip("torch", reason="the reference is torch's")


@pytest.mark.parametrize("shape", [(300, 470), (30, 21), (29, 28), (1, 5), (336, 28), (28, 28)])
def test_pictures_become_squares_as_in_torch(shape):
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    levels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    due = torch.nn.functional.interpolate(
        levels, (28, 28), mode="bilinear", antialias=True, align_corners=False
    )
    found = squared(picture, 28)
    apart = np.abs(found - due[0].permute(1, 2, 0).numpy().astype(np.float32))
    assert apart.max() <= 1  # torch multiplies by whole numbers
    assert apart.mean() < 0.1
    assert found.dtype == np.float32


def test_an_even_picture_stays_even():
    for level in (0, 7, 255):
        assert (squared(np.full((111, 77, 3), level, np.uint8), 10) == level).all()
