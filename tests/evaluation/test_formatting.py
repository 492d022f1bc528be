"""Facts of a run in words."""

from math import inf

import pytest

from vesalius.evaluation.formatting import flat, value_text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "yes"),
        (False, "no"),
        (1, "1"),
        (12345, "12,345"),
        (0.12345678, "0.1235"),
        (512.5, "512.5"),
        (12345.6, "12,346"),
        (inf, "inf"),
        ("a, b", "a, b"),
    ],
)
def test_values_value_text(value, said):
    assert value_text(value) == said


def test_nested_facts_have_joined_names():
    facts = {"state": "fitted", "data": {"train": {"n": 2000}, "leaks": None}, "tiny": True}
    assert list(flat(facts)) == [("state", "fitted"), ("data.train.n", "2,000"), ("tiny", "yes")]
    assert next(name for name, _ in flat({"a": {"b": 1}}, " · ")) == "a · b"
