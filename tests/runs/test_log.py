"""Mean terms of an interval, also of terms that not all steps have."""

import json

import pytest

from maskrf_core.runs import Run
from maskrf_core.runs.log import MetricAverager, RunLog, latest_by_scene
from maskrf_core.settings.config import load_config

STEPS = [{"total": 3.0, "depth_fine": 1.0}, {"total": 1.0}, {"total": 2.0, "depth_fine": 0.5}, {"total": 4.0}]


def test_a_term_is_averaged_over_the_steps_that_have_it():
    interval = MetricAverager()
    for terms in STEPS:
        interval.add(terms)
    means = interval.means()
    assert (means["total"], means["depth_fine"]) == (2.5, 0.75)
    assert means["seconds_per_step"] >= 0


@pytest.mark.parametrize("done", [0, 1, 3])
def test_a_continued_interval_has_the_same_means(done):
    interval = MetricAverager()
    for terms in STEPS[:done]:
        interval.add(terms)
    interval = MetricAverager(**json.loads(json.dumps(interval.state)))
    for terms in STEPS[done:]:
        interval.add(terms)
    means = interval.means()
    assert (means["total"], means["depth_fine"]) == (2.5, 0.75)


def test_the_newest_psnr_of_each_scene_is_read_as_it_was_logged(tmp_path):
    run = Run.start(tmp_path / "run", load_config("pretrain", "demo"))
    log = RunLog(run, 0)
    log.write(1, "train", {"total": 0.5})
    assert latest_by_scene(run.metrics()) == {}
    for step, psnr in ((1, 10.0), (2, 11.125)):
        log.write(step, "validation", {"fine_psnr": psnr, "fine_psnr_by_scene": {"a, b": psnr, 'x"y': 1 / 3}})
    log.close()
    assert latest_by_scene(run.metrics()) == {"a, b": 11.125, 'x"y': 1 / 3}
    assert latest_by_scene(run.metrics().drop(columns="fine_psnr_by_scene")) == {}  # a log of before
