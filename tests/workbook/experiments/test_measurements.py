"""Measuring: the order of what is measured, exponents, operations counted by hand, ratios."""

import time

import pytest
import torch
from torch import nn

from maskrf_core.workbook.experiments import measurements
from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Growth, in_turn, operations_of, turns


def test_turns_go_backwards_every_other_round():
    assert "".join(turns("abc", 3)) == "abccbaabc"


def test_each_measurement_follows_a_run_that_does_not_count():
    ran = []

    def case(name, seconds):
        def work():
            time.sleep(seconds)
            ran.append(name)

        return work

    measured = in_turn({"a": case("a", 0.02), "b": case("b", 0.001)}, 2)
    assert "".join(ran) == "aa" + "bb" + "bb" + "aa"
    assert [len(seconds) for seconds in measured.values()] == [2, 2]
    assert all(0.02 <= seconds < 2 for seconds in measured["a"])
    assert min(measured["b"]) < 0.02


def test_threads_are_as_many_as_before():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    in_turn({"a": lambda: seen.append(torch.get_num_threads())}, 1)
    assert seen == [2, 2]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_exponent_of_exact_power_laws(power):
    grown = Growth.of({factor: [0.3 * factor**power] for factor in (1, 2, 4, 8)})
    assert grown.exponent == pytest.approx(power)


def test_growth_is_fitted_to_the_medians():
    grown = Growth.of({1: [1.0, 1.0, 9.0], 2: [2.0, 2.0, 2.0], 4: [0.1, 4.0, 4.0]})
    assert grown.exponent == pytest.approx(1)
    assert grown.model_dump(mode="json")["seconds"]["1"] == {"median": 1.0, "all": [1.0, 1.0, 9.0]}


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
    assert operations_of(lambda: network(x)) == FORWARD
    with torch.inference_mode():
        assert operations_of(lambda: network(x)) == FORWARD
    gradients = FORWARD + 2 * 10 * 16 * 4  # of all weights, and of what the second layer takes
    assert operations_of(lambda: network(x).sum().backward()) == FORWARD + gradients


def test_operations_are_counted_where_a_module_runs_without_gradients():
    network = Perceptron()
    layer = nn.Linear(8, 8)

    def work():
        network.without_gradients(layer(torch.rand(2, 5, 8)))

    assert operations_of(work) == FORWARD + 2 * 10 * 8 * 8


def test_operations_of_a_convolution_by_hand():
    network = nn.Conv2d(3, 5, 3, padding=1)
    assert operations_of(lambda: network(torch.rand(1, 3, 8, 8))) == 2 * 5 * 3 * 9 * 64


def test_matrix_products_are_made_in_each_precision():
    cases = measurements.matrix_products(32)
    assert list(cases) == ["matrix product, float32", "matrix product, bfloat16"]
    assert [case().dtype for case in cases.values()] == [torch.float32, torch.bfloat16]
    assert all(operations_of(case) == 2 * 32**3 for case in cases.values())


def test_comparisons_are_ratios_of_pairs():
    found = Comparison.of("s", [1.0, 2.0, 4.0], [4.0, 4.0, 4.0])
    assert found.ratio.model_dump() == {"median": 2.0, "all": [4.0, 2.0, 1.0]}
    assert found.unit == "s"


def test_arithmetic_is_held_against_the_ceiling_of_its_round():
    # A product of matrices of 1000 rows is 2 GFLOP.
    measured = {"work": [1.0, 2.0, 3.0], "matrix product, float32": [1 / 30, 0.2, 0.5]}
    found = Arithmetic.of(6.0, measured, "work", "float32", 1000)
    assert found.gflop_per_second.all == [6.0, 3.0, 2.0]
    assert found.ceiling.all == pytest.approx([60, 10, 4])
    assert found.fraction.all == pytest.approx([0.1, 0.3, 0.5])


def test_what_was_measured_says_where_and_when():
    about = measurements.made_here(7)
    assert about["repeats"] == 7
    assert torch.__version__ in about["torch"]
    assert "×" in about["machine"]
    assert time.strptime(about["date"], "%Y-%m-%d")
