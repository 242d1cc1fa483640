"""Few samples with weights: exactly what the full list gives where the samples that they stand for are equal."""

import pytest
import torch

from maskrf_core.model.aggregators.neuray import AggregationNetwork, RayAttention
from maskrf_core.model.fast.adaptive_rendering import ThinnedSamples, thin
from maskrf_core.model.gathering import ViewSamples, query_rays
from maskrf_core.model.rendering import hit_probability_of
from maskrf_core.model.sampling import MergedSamples, RaySamples, coarse_depths, intervals, merge_depths
from maskrf_core.model.visibility import PointVisibility, direct_colours_of_rays
from tests.model.aggregators.test_neuray import RAYS, SAMPLES, VIEWS, inputs
from tests.model.tiny import fill_by_formula, samples_with, tiny_batch, tiny_renderer

RANGE = torch.tensor([2.0, 6.0])
TIMES = torch.tensor([3, 1, 4, 2, 5, 2][:SAMPLES])
"""How often each sample is there."""


def repeated(part: torch.Tensor) -> torch.Tensor:
    """[view ray sample …] with every sample as often as `TIMES` says, one behind the other."""
    return part.repeat_interleave(TIMES, dim=2)


def chosen_of(index: torch.Tensor, weight: torch.Tensor) -> ThinnedSamples:
    """The same samples on every ray; intervals play no part."""
    index, weight = index.expand(RAYS, -1), weight.double().expand(RAYS, -1)
    return ThinnedSamples(*[torch.zeros_like(weight)] * 3, index, weight)


def per_block(part: torch.Tensor) -> torch.Tensor:
    """[ray sample] of the full list, summed over the equal ones."""
    return torch.stack([block.sum(dim=1) for block in part.split(TIMES.tolist(), dim=1)], dim=1)


def some_valid() -> torch.Tensor:
    """Among others a sample in no view and one in a single view."""
    valid = torch.rand(VIEWS, RAYS, SAMPLES, generator=torch.Generator().manual_seed(5)) > 0.4
    valid[:, 0, 0] = False
    valid[:, 0, 1] = torch.arange(VIEWS) == 1
    return valid


def merged_of(coarse: torch.Tensor, new: torch.Tensor | None = None) -> MergedSamples:
    return merge_depths(coarse, coarse[:, :0] if new is None else new, RANGE)


def test_thin_by_hand():
    """All alike where none was drawn: blocks of 3, 4 and 3, whose middle samples are 1, 5 and 8."""
    depths = coarse_depths(RANGE, rays=2, samples=10)
    chosen = thin(merged_of(depths), kept=3)
    assert chosen.index.tolist() == [[1, 5, 8]] * 2
    assert chosen.weight.tolist() == [[3, 4, 3]] * 2
    assert torch.equal(chosen.depths, depths[:, [1, 5, 8]])
    torch.testing.assert_close(chosen.half_before, torch.full((2, 3), 1 / 18))
    torch.testing.assert_close(chosen.half_behind, torch.full((2, 3), 1 / 18))


def test_where_samples_were_drawn_blocks_are_shorter():
    """8 coarse samples with room 1 and 4 new ones with room 2 after the fourth: room 4 for each of 4 blocks."""
    new = torch.tensor([[4.1, 4.2, 4.3, 4.4]])
    chosen = thin(merged_of(torch.arange(1.0, 9)[None], new), kept=4)
    assert chosen.weight.tolist() == [[4, 2, 2, 4]]
    assert chosen.index.tolist() == [[2, 5, 7, 10]]


@pytest.mark.parametrize(("coarse", "new"), [(1, 0), (4, 1), (12, 6), (64, 32), (9, 40)])
def test_every_sample_is_stood_for_once(coarse: int, new: int):
    draw = torch.Generator().manual_seed(0)
    rows = [2 + 4 * torch.rand(5, count, generator=draw) for count in (coarse, new)]
    merged = merge_depths(rows[0].sort(dim=1).values, rows[1], RANGE)
    for kept in range(1, coarse + new + 3):
        chosen = thin(merged, kept)
        assert chosen.depths.shape == chosen.index.shape == (5, min(kept, coarse + new))
        assert (chosen.weight >= 1).all()
        assert (chosen.weight.sum(dim=1) == coarse + new).all()
        begins = chosen.weight.cumsum(dim=1) - chosen.weight
        assert ((chosen.index >= begins) & (chosen.index < begins + chosen.weight)).all()
        assert torch.equal(chosen.depths, merged.samples.depths.gather(1, chosen.index))
    assert torch.equal(chosen.depths, merged.samples.depths)


@torch.no_grad()
def test_weights_of_one_change_nothing():
    renderer, batch = tiny_renderer(), tiny_batch()
    features, rays = renderer.encode(batch.references), query_rays(batch)
    depths = coarse_depths(RANGE, len(rays.directions), 18)
    chosen = thin(merged_of(depths), kept=18)
    every = renderer.fine(features, rays, RaySamples.at(depths, RANGE), mask=None)
    same = renderer.fine(features, rays, chosen, mask=None)
    for ours, theirs in zip([same.seen_by, *same.points], [every.seen_by, *every.points], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_representatives_are_looked_at_as_in_the_full_list():
    """What a view says of a sample does not depend on which others are looked at."""
    renderer, batch = tiny_renderer(), tiny_batch()
    features, rays = renderer.encode(batch.references), query_rays(batch)
    depths = coarse_depths(RANGE, len(rays.directions), 18)
    chosen = thin(merged_of(depths), kept=5)
    every, some = (renderer.fine.look(features, rays, of) for of in (RaySamples.at(depths, RANGE), chosen))
    for ours, theirs in zip([*some[0], *some[1]], [*every[0], *every[1]], strict=True):
        torch.testing.assert_close(ours, theirs[:, :, chosen.index[0]])


@torch.no_grad()
def test_a_weight_counts_like_as_many_equal_samples():
    network = AggregationNetwork().double()
    fill_by_formula(network)
    samples, visibility = inputs(some_valid())
    index = 3 * torch.arange(SAMPLES) + 1
    few = network(samples, visibility, chosen_of(index, TIMES), mask=None)
    full = network(
        ViewSamples(*map(repeated, samples)),
        PointVisibility(*map(repeated, visibility)),
        chosen_of(index.repeat_interleave(TIMES), torch.ones(int(TIMES.sum()))),
        mask=None,
    )
    of_block = TIMES.cumsum(dim=0) - 1
    torch.testing.assert_close(few.scene_features, full.scene_features[:, of_block])
    torch.testing.assert_close(few.colours, full.colours[:, of_block])
    torch.testing.assert_close(few.density, per_block(full.density))
    hits, every = (hit_probability_of(1 - torch.exp(-points.density)) for points in (few, full))
    torch.testing.assert_close(hits, per_block(every), atol=1e-9, rtol=0)


@torch.no_grad()
def test_attention_to_weights_is_attention_to_as_many_keys():
    attention = RayAttention().double()
    fill_by_formula(attention)
    x = torch.rand(RAYS, SAMPLES, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    attends = torch.rand(RAYS, SAMPLES, generator=torch.Generator().manual_seed(2)) > 0.5
    few = attention(x, attends=attends, weight=TIMES.double().expand(RAYS, -1))
    full = attention(x.repeat_interleave(TIMES, dim=1), attends=attends.repeat_interleave(TIMES, dim=1))
    torch.testing.assert_close(few, full[:, TIMES.cumsum(dim=0) - 1])


@torch.no_grad()
def test_direct_colours_of_weights_are_those_of_as_many_samples():
    samples, visibility = inputs(some_valid())
    visibility = PointVisibility(visibility.visibility, visibility.visibility * visibility.hit_probability)
    to_query = torch.nn.functional.normalize(torch.rand(RAYS, 3, dtype=torch.float64), dim=-1)
    few = direct_colours_of_rays(samples, visibility, to_query, chosen_of(torch.arange(SAMPLES), TIMES))
    full = direct_colours_of_rays(
        ViewSamples(*map(repeated, samples)),
        PointVisibility(*map(repeated, visibility)),
        to_query,
        samples_with(torch.ones(1, 1)),
    )
    torch.testing.assert_close(few, full, atol=1e-8, rtol=1e-8)


@torch.no_grad()
def test_intervals_are_those_of_the_full_list():
    """Halfway to the neighbours in the full list, however few are left."""
    depths = torch.tensor([[2.0, 2.5, 3, 4, 5, 6]])
    full = intervals(depths, RANGE)
    chosen = thin(merged_of(depths), kept=3)
    assert chosen.index.tolist() == [[1, 3, 5]]
    torch.testing.assert_close(chosen.half_before, full[:, [0, 2, 4]] / 2)
    torch.testing.assert_close(chosen.half_behind, full[:, [1, 3, 5]] / 2)
