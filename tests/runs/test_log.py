"""Mean terms of an interval, also of terms that not all steps have."""

import json

import pytest

from maskrf_core.runs.log import MetricAverager

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
