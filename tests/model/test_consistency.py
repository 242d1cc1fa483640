from dataclasses import replace

import pytest
import torch

from maskrf_core.cameras import project
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model import visibility_init
from maskrf_core.model.visibility_init import consistency_features
from tests.model.tiny import FAR, NEAR, tiny_views


def bilinear(grid: torch.Tensor, x: float, y: float) -> float:
    """Value of a map at (x, y), clamped to its border."""
    rows, columns = grid.shape
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    left, top = min(int(x), columns - 2), min(int(y), rows - 2)
    a, b = x - left, y - top
    upper = (1 - a) * grid[top, left] + a * grid[top, left + 1]
    return float((1 - b) * upper + b * ((1 - a) * grid[top + 1, left] + a * grid[top + 1, left + 1]))


def slow_features(views: Views, view: int, row: int, column: int) -> list[float]:
    """The eight numbers of one pixel, one view after the other."""
    K, w2c = views.K[view], views.w2c[view]
    in_camera = torch.linalg.inv(K) @ torch.tensor([column, row, 1.0]) * views.depths[view, 0, row, column]
    point = w2c[:, :3].T @ (in_camera - w2c[:, 3])
    differences = []
    for other in range(len(views)):
        near, far = views.depth_range[other].tolist()
        projection = project(views.K[other : other + 1], views.w2c[other : other + 1], point[None], *views.image_size)
        if not projection.valid.item():
            continue
        x, y = projection.pixels_xy[0, 0].tolist()
        colour = [
            abs(bilinear(views.images[other, channel], x, y) - views.images[view, channel, row, column].item())
            for channel in range(3)
        ]
        depth = abs(1 / bilinear(views.depths[other, 0], x, y) - 1 / max(projection.depth.item(), 1e-5))
        differences.append([*colour, min(depth / (1 / near - 1 / far), 1.5)])
    rows = torch.tensor(differences, dtype=torch.float64)
    mean, variance = rows.mean(dim=0), rows.var(dim=0, unbiased=False)
    return [*mean[:3].tolist(), *variance[:3].tolist(), mean[3].item(), variance[3].item()]


def test_against_a_loop():
    views = tiny_views([-0.5, 0.0, 0.4], height=10, width=14)
    features = consistency_features(views, views.depths)
    assert features.shape == (3, 8, 10, 14)
    for view, row, column in [(0, 0, 0), (0, 5, 7), (1, 9, 13), (1, 3, 12), (2, 9, 0), (2, 4, 6), (2, 0, 13)]:
        expected = slow_features(views, view, row, column)
        assert features[view, :, row, column].tolist() == pytest.approx(expected, abs=1e-4)


def test_a_view_agrees_with_itself():
    views = tiny_views([0.3], height=10, width=14)
    torch.testing.assert_close(consistency_features(views, views.depths), torch.zeros(1, 8, 10, 14), atol=1e-4, rtol=0)


def test_a_plane_seen_truly_agrees_in_depth():
    """Two cameras side by side before a plane at depth 4: depths agree, painted colours differ by a constant."""
    views = tiny_views([0.0, 0.0], height=8, width=12)
    w2c = views.w2c.clone()
    w2c[1, 0, 3] = 0.2
    images = torch.stack([torch.full((3, 8, 12), 0.2), torch.full((3, 8, 12), 0.6)])
    views = replace(views, w2c=w2c, images=images, depths=torch.full((2, 1, 8, 12), 4.0))
    middle = consistency_features(views, views.depths)[:, :, 2:6, 3:9]
    torch.testing.assert_close(middle[:, :3], torch.full_like(middle[:, :3], 0.2), atol=1e-5, rtol=0)  # 0 and 0.4
    torch.testing.assert_close(middle[:, 3:6], torch.full_like(middle[:, 3:6], 0.04), atol=1e-5, rtol=0)
    torch.testing.assert_close(middle[:, 6:], torch.zeros_like(middle[:, 6:]), atol=1e-5, rtol=0)


def test_large_disagreement_is_cut():
    """A surface close to the camera of the other view, of which this one knows nothing: cut at 1.5 and halved."""
    views = tiny_views([0.0, 0.0], height=8, width=12)
    depths = torch.stack([torch.full((1, 8, 12), FAR), torch.full((1, 8, 12), 0.1)])
    depth_mean = consistency_features(replace(views, depths=depths), depths)[0, 6]
    assert 1 / 0.1 - 1 / FAR > 1.5 * (1 / NEAR - 1 / FAR)
    torch.testing.assert_close(depth_mean, torch.full((8, 12), 0.75), atol=1e-4, rtol=0)


def test_points_behind_a_camera_stay_finite():
    views = tiny_views([0.0, 3.14159], height=8, width=12)
    depths = torch.full((2, 1, 8, 12), 50.0)
    assert consistency_features(replace(views, depths=depths), depths).isfinite().all()


def test_parts_of_views_and_rows_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    views = tiny_views([0.0, 0.3, -0.4], height=12, width=16)
    whole = consistency_features(views, views.depths)
    monkeypatch.setattr(visibility_init, "PIXELS_AT_ONCE", 5 * 16)  # 5, 5 and 2 rows
    parts = torch.cat([consistency_features(views, views.depths, of) for of in (slice(0, 2), slice(2, 4))])
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-6)
