"""The service does what its description says, whatever is asked (schemathesis)."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis", reason="pip install 'echoic[test]'")
    from schemathesis.specs.openapi.checks import positive_data_acceptance

# Endless by its nature; what it does is tested beside indexing.
ENDLESS = "/v1/index/events"
# What is found wrong is told as it was met: making it smaller would take minutes.
LIMITS = settings(
    max_examples=6,
    phases=[Phase.generate],
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def described(ask):
    return schemathesis.openapi.from_dict(ask("/openapi.json").json)


def test_it_is_described_with_what_it_refuses(ask):
    told = ask("/openapi.json").json
    assert told["openapi"].startswith("3.1")
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            assert {"401", "403", "421", "422"} <= set(operation["responses"])
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"]


def test_it_has_examples_that_fit(ask):
    shapes = ask("/openapi.json").json["components"]["schemas"]
    for name in ("HitShape", "MatchShape", "SpanShape", "ConceptShape", "Problem"):
        assert set(shapes[name]["required"]) <= set(shapes[name]["example"])


def test_whatever_is_asked_is_answered_as_described(ask, described):
    """No fault of the service, and no status, type or shape that is not described."""
    operations = [found.ok() for found in described.get_all_operations()]
    operations = [operation for operation in operations if operation.path != ENDLESS]
    assert len(operations) >= 14

    def answers(case):
        # What fits the description may still be refused: words of which an encoder is missing, say.
        response = case.call(base_url=ask.address)
        case.validate_response(response, excluded_checks=[positive_data_acceptance])
        if response.status_code == 422:
            assert "makes no sense" not in response.json()["detail"], "a sentence of its own is missing"

    for operation in operations:
        LIMITS(given(operation.as_strategy())(answers))()
