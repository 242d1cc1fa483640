"""How many processes make batches, and what memory each of them has."""

import pytest

from maskrf_core.settings.config import load_config
from maskrf_core.training import preflight
from maskrf_core.training.preflight import data_workers, open_checked_scenes


@pytest.mark.parametrize(
    ("cores", "devices", "asked", "expected"),
    [
        (1, 1, None, 1),
        (2, 1, None, 1),
        (6, 1, None, 5),
        (16, 4, None, 3),
        (96, 8, None, 8),
        (96, 1, None, 8),
        (4, 8, None, 1),
        (2, 1, 0, 0),
        (2, 1, 12, 12),
    ],
)
def test_cores_are_shared_out_among_the_training_processes_unless_a_number_is_asked_for(
    monkeypatch, cores, devices, asked, expected
):
    monkeypatch.setattr(preflight, "available_cores", lambda: cores)
    config = load_config("pretrain", "demo", {"hardware.devices": devices, "hardware.data_workers": asked})
    assert data_workers(config.hardware) == expected


def test_all_processes_together_keep_as_many_images_as_asked_for(monkeypatch):
    monkeypatch.setattr(preflight, "available_cores", lambda: 5)
    given = []
    monkeypatch.setattr(preflight, "ImageCache", lambda mib: given.append(mib))
    open_checked_scenes(load_config("pretrain", "demo", {"hardware.image_cache_mib": 1000}))
    assert given == [200]
