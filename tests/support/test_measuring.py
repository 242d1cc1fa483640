"""Measuring: the order of what is measured, exponents, operations counted by hand, ratios."""

import time

import pytest
import torch
from torch import nn

from maskrf_core.support import measuring


def test_cases_are_measured_in_turn_and_every_other_round_backwards():
    order = []

    def case(name):
        return lambda: order.append(name) or float(len(order))

    measured = measuring.in_turn({name: case(name) for name in "abc"}, 3)
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"
    assert measured == {"a": [4, 9, 10], "b": [5, 8, 11], "c": [6, 7, 12]}, "the first round does not count"


def test_seconds_are_those_of_the_work():
    assert 0.02 <= measuring.timed(lambda: time.sleep(0.02)) < 2


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_exponent_of_exact_power_laws(power):
    assert measuring.exponent([1, 2, 4, 8], [0.3 * factor**power for factor in (1, 2, 4, 8)]) == pytest.approx(power)


def test_growth_is_fitted_to_the_medians():
    grown = measuring.growth({1: [1.0, 1.0, 9.0], 2: [2.0, 2.0, 2.0], 4: [0.1, 4.0, 4.0]})
    assert grown["exponent"] == pytest.approx(1)
    assert grown["seconds"]["1"] == {"median": 1.0, "all": [1.0, 1.0, 9.0]}


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x):
        return self.layers(x)

    @torch.no_grad()
    def without_gradients(self, x):
        return self.layers(x.flatten(0, 1))


FORWARD = 2 * 10 * (8 * 16 + 16 * 4)


def test_operations_of_a_perceptron_by_hand():
    network, x = Perceptron(), torch.rand(2, 5, 8)
    assert measuring.operations_of(lambda: network(x)) == FORWARD
    with torch.inference_mode():
        assert measuring.operations_of(lambda: network(x)) == FORWARD
    gradients = FORWARD + 2 * 10 * 16 * 4  # of all weights, and of what the second layer takes
    assert measuring.operations_of(lambda: network(x).sum().backward()) == FORWARD + gradients


def test_operations_are_counted_where_a_module_runs_without_gradients():
    network = Perceptron()
    layer = nn.Linear(8, 8)

    def work():
        network.without_gradients(layer(torch.rand(2, 5, 8)))

    assert measuring.operations_of(work) == FORWARD + 2 * 10 * 8 * 8


def test_operations_of_a_convolution_by_hand():
    network = nn.Conv2d(3, 5, 3, padding=1)
    assert measuring.operations_of(lambda: network(torch.rand(1, 3, 8, 8))) == 2 * 5 * 3 * 9 * 64


def test_matrix_products_say_their_speed():
    cases = measuring.matrix_products(32)
    assert list(cases) == ["matrix product, float32", "matrix product, bfloat16"]
    assert all(0 < speed() < 1e6 for speed in cases.values())


def test_comparisons_are_ratios_of_pairs():
    found = measuring.comparison("s", [1.0, 2.0, 4.0], [4.0, 4.0, 4.0])
    assert found["ratio"] == {"median": 2.0, "all": [4.0, 2.0, 1.0]}
    assert found["unit"] == "s"


def test_arithmetic_is_held_against_the_ceiling_of_its_round():
    found = measuring.arithmetic(6.0, [1.0, 2.0, 3.0], [60.0, 10.0, 4.0], "float32")
    assert found["gflop_per_second"]["all"] == [6.0, 3.0, 2.0]
    assert found["fraction"] == {"median": 0.3, "all": [0.1, 0.3, 0.5]}


def test_what_was_measured_says_where_and_when():
    about = measuring.made_here(7)
    assert about["repeats"] == 7
    assert torch.__version__ in about["torch"]
    assert "×" in about["machine"]
    assert time.strptime(about["date"], "%Y-%m-%d")
