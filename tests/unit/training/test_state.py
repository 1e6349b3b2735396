"""The running average of a network's weights."""

import numpy as np
import pytest
import torch
from torch import nn

from echoic.nn.architectures import build
from echoic.training.state import running_average


def moved(model, steps, seed=0):
    """Change a network at random, step by step, its batch statistics too."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        with torch.no_grad():
            for value in model.state_dict().values():
                if value.is_floating_point():
                    value.add_(torch.randn(value.shape, generator=generator))
                else:
                    value.add_(1)
        yield model


def test_it_is_what_the_formula_says():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = running_average(model)
    expected = {name: value.double().numpy() for name, value in model.state_dict().items()}
    for step, _ in enumerate(moved(model, 2_500)):
        average.update_parameters(model)
        keep = min(0.995, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            expected[name] = keep * expected[name] + (1 - keep) * value.double().numpy()
    expected["1.num_batches_tracked"] = np.array(2_500)
    state = average.module.state_dict()
    assert state.keys() == expected.keys()
    for name, value in state.items():
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-5, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("architecture", ["cnn", "mobile", "transformer", "hybrid", "grown"])
def test_it_is_bit_for_bit_the_walk_over_all_that_a_checkpoint_holds(architecture):
    model = build(architecture, n_frames=63)
    average = running_average(model)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    for step, _ in enumerate(moved(model, 3)):
        average.update_parameters(model)
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name].lerp_(value, 1 - (1 + step) / (10 + step))
            else:
                expected[name].copy_(value)
    state = average.module.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_it_goes_on_from_its_state_bit_for_bit():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average, resumed = running_average(model), running_average(model)
    for step, _ in enumerate(moved(model, 20)):
        average.update_parameters(model)
        if step == 9:
            resumed.load_state_dict(average.state_dict())
        elif step > 9:
            resumed.update_parameters(model)
    for one, other in zip(average.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)
