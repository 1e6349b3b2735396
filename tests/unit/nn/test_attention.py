import math

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")

from echoic.nn.attention import AttentionPool, TransformerBlock  # noqa: E402 - only where torch is


@pytest.fixture
def block():
    torch.manual_seed(0)
    return TransformerBlock(12, n_heads=3, expansion=2, dropout=0.5).eval()


@pytest.fixture
def sequence():
    torch.manual_seed(1)
    return torch.randn(2, 7, 12)


def test_a_block_computes_what_naive_loops_compute(block, sequence):
    activity = torch.rand(2, 7)
    activity[:, 5:] = 0
    with torch.no_grad():
        actual = block(sequence, activity.log())
        normed = block.norm1(sequence)
        query, key, value = block.query_key_value(normed).split(12, dim=2)
        attended = torch.zeros_like(sequence)
        for n in range(2):
            for at in range(7):
                for head in (slice(0, 4), slice(4, 8), slice(8, 12)):
                    odds = [
                        activity[n, to] * math.exp(query[n, at, head] @ key[n, to, head] / 2)
                        for to in range(7)
                    ]
                    for to in range(7):
                        attended[n, at, head] += odds[to] / sum(odds) * value[n, to, head]
        x = sequence + block.merge(attended)
        gelu = torch.nn.functional.gelu(block.expand(block.norm2(x)))
        expected = x + block.contract(gelu)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_silent_position_is_not_attended_to(block, sequence):
    activity = torch.ones(2, 7)
    activity[:, 4:] = 0
    changed = sequence.clone()
    changed[:, 4:] = 1e3
    with torch.no_grad():
        before, after = block(sequence, activity.log()), block(changed, activity.log())
    torch.testing.assert_close(after[:, :4], before[:, :4])


def test_pooling_computes_what_naive_loops_compute(sequence):
    torch.manual_seed(2)
    pool = AttentionPool(12, n_heads=3)
    activity = torch.rand(2, 7)
    activity[:, 5:] = 0
    with torch.no_grad():
        actual = pool(sequence, activity.log())
        expected = torch.zeros(2, 12)
        for n in range(2):
            for head in range(3):
                odds = [activity[n, t] * math.exp(pool.score.weight[head] @ sequence[n, t]) for t in range(7)]
                for t in range(7):
                    group = slice(4 * head, 4 * head + 4)
                    expected[n, group] += odds[t] / sum(odds) * sequence[n, t, group]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="a width of 10 does not divide into 4 heads"):
        TransformerBlock(10, n_heads=4, expansion=2, dropout=0)
