"""Digests: equal values have one, and values that differ in anything have two."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.digests import digest


@dataclass(frozen=True)
class Pair:
    left: object
    right: object


@dataclass(frozen=True)
class Couple:
    left: object
    right: object


DIFFERENT = [
    None,
    0,
    0.0,
    -0.0,
    False,
    "",
    "0",
    b"0",
    [],
    [[]],
    [None],
    ["a", "bc"],
    ["ab", "c"],
    [["a"], "bc"],
    [1, 2],
    [2, 1],
    {"a": 1},
    {"a": 2},
    {"b": 1},
    [("a", 1)],
    {},
    {"Pair": {"left": 1, "right": 2}},
    float("nan"),
    Pair(1, 2),
    Pair(2, 1),
    Couple(1, 2),
    ModelSettings(),
    ModelSettings(fine_samples=31),
    torch.zeros(2, 3),
    torch.zeros(3, 2),
    torch.zeros(6),
    torch.zeros(2, 3, dtype=torch.float64),
    torch.zeros(2, 3, dtype=torch.int32),
    torch.zeros(()),
    torch.zeros(0),
    torch.tensor([0.0, 0, 0, 0, 0, 1e-45]).reshape(2, 3),
    np.zeros((2, 3), np.float32),
    np.zeros((2, 3), ">f4"),
    torch.zeros(2, dtype=torch.bfloat16),
    torch.tensor([True]),
]


def test_what_differs_in_anything_has_another_digest():
    digests = [digest(value) for value in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (torch.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(3, 2).T.contiguous().T.reshape(2, 3)),
        (torch.arange(6.0).reshape(3, 2).T, torch.tensor([[0.0, 2, 4], [1, 3, 5]])),
        (np.arange(6.0)[::2], np.array([0.0, 2, 4])),
        (Pair("a", torch.ones(2)), Pair("a", torch.ones(2, requires_grad=True))),
        ({"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_equal_values_have_one_digest_wherever_they_lie_in_memory(one, same):
    assert digest(one) == digest(same)


def test_what_has_no_digest_is_refused():
    with pytest.raises(TypeError, match="set has no digest"):
        digest({"a": [{1}]})
