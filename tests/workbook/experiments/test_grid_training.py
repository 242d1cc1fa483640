"""A grid trains at once where nobody watches, and in the background of an open notebook."""

from threading import Event

import pytest

from maskrf_core.support.errors import RunError
from maskrf_core.workbook.experiments import grid_training
from maskrf_core.workbook.experiments.grid_training import GridTraining
from maskrf_core.workbook.parameters import AblationParameters


@pytest.fixture
def parameters(tmp_path, monkeypatch):
    monkeypatch.setattr(grid_training, "begin", lambda points: None)
    return AblationParameters(runs_root=str(tmp_path))


def test_where_nobody_watches_it_is_over_at_once(parameters, monkeypatch):
    trained = []
    monkeypatch.setattr(grid_training, "train_grid", lambda *asked: trained.append(asked))
    GridTraining([], parameters).wait()
    assert trained == [([], parameters)]


def test_in_an_open_notebook_it_is_waited_for_and_what_went_wrong_is_raised(parameters, monkeypatch):
    go_on, trained = Event(), []

    def train(_points, _parameters):
        assert go_on.wait(60)
        trained.append(True)
        raise RunError("1 of 2 points failed")

    monkeypatch.setattr(grid_training, "train_grid", train)
    monkeypatch.setattr(grid_training, "in_watched_notebook", lambda: True)
    training = GridTraining([], parameters)
    assert not trained
    go_on.set()
    with pytest.raises(RunError, match="1 of 2 points failed"):
        training.wait()
    assert trained
