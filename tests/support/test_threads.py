"""Every core computes something of its own, and torch is left as it was."""

import threading
import time

import pytest
import torch

from maskrf_core.support.machine import map_in_threads, one_thread


@pytest.fixture(autouse=True)
def _three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_are_in_order_and_computed_at_once_on_one_core_each():
    together = threading.Barrier(2, timeout=60)

    def compute(number: int) -> tuple[int, int, int]:
        together.wait()  # for another one that is computed at the same time
        time.sleep(0.01 * (number % 2))
        return number, torch.get_num_threads(), threading.get_ident()

    numbers, operations, threads = zip(*map_in_threads(compute, range(6), threads=2), strict=True)
    assert numbers == tuple(range(6))
    assert set(operations) == {1}
    assert len(set(threads)) == 2
    assert threading.get_ident() not in threads
    assert torch.get_num_threads() == 3


def test_the_first_is_computed_alone():
    together, computing = threading.Lock(), []

    def compute(number: int) -> int:
        with together:
            computing.append(number)
        time.sleep(0.05)
        with together:
            seen = list(computing)
        return len(seen)

    first, *others = map_in_threads(compute, range(7), threads=3, first_alone=True)
    assert first == 1
    assert others[0] > 2


def test_little_is_computed_ahead():
    computed = []

    def items():
        for number in range(1000):
            computed.append(number)
            yield number

    results = map_in_threads(abs, items(), threads=2)
    for number in range(3):
        assert next(results) == number
        time.sleep(0.02)
        assert len(computed) == number + 4


def test_an_error_is_raised_where_its_result_would_be_and_ends_it():
    computed = []

    def compute(number: int) -> int:
        computed.append(number)
        time.sleep(0.01)
        return 6 // (2 - number)

    results = map_in_threads(compute, range(1000), threads=2)
    assert [next(results), next(results)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert torch.get_num_threads() == 3
    assert len(computed) < 100


def test_whoever_closes_it_early_gets_all_threads_back():
    computed = []
    results = map_in_threads(lambda number: time.sleep(0.01) or computed.append(number), range(1000), threads=2)
    next(results)
    results.close()
    assert torch.get_num_threads() == 3
    count = len(computed)
    time.sleep(0.05)
    assert len(computed) == count < 100


@one_thread()
def fail() -> None:
    raise KeyError(torch.get_num_threads())


def test_one_thread_ends_with_an_error_too():
    with pytest.raises(KeyError, match="1"):
        fail()
    assert torch.get_num_threads() == 3
