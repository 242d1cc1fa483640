"""What changes from step to step."""

from maskrf_core.settings.config import load_config
from maskrf_core.training.schedules import learning_rate, stream_seed


def test_learning_rate_is_halved_down_to_the_lowest():
    settings = load_config("pretrain", "paper", {"training.steps": 10**6}).training
    assert learning_rate(99_999, settings) == 4e-4
    assert learning_rate(100_000, settings) == 2e-4
    assert learning_rate(350_000, settings) == 5e-5
    assert learning_rate(10**7, settings) == 1e-5


def test_streams_of_steps_and_seeds_differ():
    assert len({stream_seed(seed, step) for seed in range(10) for step in range(100)}) == 1000
