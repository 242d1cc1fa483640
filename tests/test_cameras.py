import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrf_core.cameras import back_project, camera_centres, pixel_rays, project, towards_camera


def rotation(axis_angle: list[float]) -> torch.Tensor:
    x, y, z = axis_angle
    return torch.linalg.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64))


def camera(axis_angle=(0.0, 0.0, 0.0), translation=(0.0, 0.0, 0.0)) -> tuple[torch.Tensor, torch.Tensor]:
    K = torch.tensor([[50.0, 0.5, 20], [0, 60, 15], [0, 0, 1]], dtype=torch.float64)
    t = torch.tensor(translation, dtype=torch.float64)
    return K, torch.cat([rotation(list(axis_angle)), t[:, None]], dim=1)


def test_centre_and_ray_by_hand():
    """A camera at (1, 2, 3), turned by 90° about y, looks along the world's -x."""
    w2c = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    w2c = torch.cat([w2c, -w2c @ torch.tensor([[1.0], [2], [3]])], dim=1)
    K = torch.tensor([[10.0, 0, 4], [0, 20, 3], [0, 0, 1]])
    torch.testing.assert_close(camera_centres(w2c), torch.tensor([1.0, 2, 3]))
    origin, directions = pixel_rays(K, w2c, torch.tensor([[4.0, 3], [14, 3], [4, 23]]))
    torch.testing.assert_close(origin, torch.tensor([1.0, 2, 3]))
    torch.testing.assert_close(directions, torch.tensor([[-1.0, 0, 0], [-1, 0, 1], [-1, 1, 0]]))


def test_projection_by_hand():
    """Focal lengths 10 and 20, centre (4, 3): the point (1, 1, 2) lands at (4 + 5, 3 + 10)."""
    K = torch.tensor([[10.0, 0, 4], [0, 20, 3], [0, 0, 1]])[None]
    w2c = torch.eye(3, 4)[None]
    projection = project(K, w2c, torch.tensor([[1.0, 1, 2]]), height=14, width=10)
    torch.testing.assert_close(projection.pixels_xy, torch.tensor([[[9.0, 13.0]]]))
    torch.testing.assert_close(projection.depth, torch.tensor([[2.0]]))
    assert projection.valid.all()


@pytest.mark.parametrize(
    ("x", "y", "valid"),
    [(-0.5, 0, True), (-0.51, 0, False), (9.49, 0, True), (9.5, 0, False), (0, -0.5, True), (0, 7.5, False)],
)
def test_half_a_pixel_around_the_image_is_valid(x: float, y: float, valid: bool):
    projection = project(torch.eye(3)[None], torch.eye(3, 4)[None], torch.tensor([[x, y, 1.0]]), height=8, width=10)
    assert projection.valid.item() is valid


def test_points_beside_and_behind_the_camera():
    """On the camera plane nothing projects but all stays finite; behind it the mirrored pixel counts, as published."""
    points = torch.tensor([[0.0, 0, 0], [1, 1, 9e-5], [1, 1, -9e-5], [-2, -2, -1], [0, 0, 1e-4]])
    projection = project(torch.eye(3)[None], torch.eye(3, 4)[None], points, height=8, width=8)
    assert projection.valid[0].tolist() == [False, False, False, True, True]
    torch.testing.assert_close(projection.depth[0], torch.tensor([1e-3, 1e-3, 1e-3, -1, 1e-4]))
    torch.testing.assert_close(projection.pixels_xy[0, 3], torch.tensor([2.0, 2]))
    assert projection.pixels_xy.isfinite().all()


angle = st.floats(-3, 3)
length = st.floats(-5, 5)
triple = st.tuples


@settings(max_examples=40, deadline=None)
@given(
    triple(angle, angle, angle), triple(length, length, length), st.floats(0, 39), st.floats(0, 29), st.floats(0.1, 50)
)
def test_ray_point_projects_back(axis_angle, translation, x, y, z):
    """origin + z · direction has depth z and projects to the pixel that it came from."""
    K, w2c = camera(axis_angle, translation)
    pixel = torch.tensor([[x, y]], dtype=torch.float64)
    origin, directions = pixel_rays(K, w2c, pixel)
    projection = project(K[None], w2c[None], origin + z * directions, height=30, width=40)
    torch.testing.assert_close(projection.pixels_xy[0], pixel, rtol=0, atol=1e-8)
    assert projection.depth.item() == pytest.approx(z, rel=1e-9)
    assert projection.valid.all()


def test_back_projection_and_projection_are_inverse():
    cameras = [camera((0.1, 0.2, -0.3), (0.5, 0, 1)), camera((-1, 0.4, 2), (0, 0.1, -2))]
    K, w2c = (torch.stack(parts) for parts in zip(*cameras, strict=True))
    depth = torch.linspace(1, 5, 2 * 6 * 8, dtype=torch.float64).view(2, 6, 8)
    points = back_project(K, w2c, depth)
    for view in range(2):
        projection = project(K[view : view + 1], w2c[view : view + 1], points[view], height=6, width=8)
        y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
        torch.testing.assert_close(projection.pixels_xy[0], torch.stack([x, y], dim=-1).double())
        torch.testing.assert_close(projection.depth[0], depth[view])


def test_shapes_of_points_are_kept():
    K, w2c = (part[None].expand(3, -1, -1) for part in camera())
    projection = project(K, w2c, torch.rand(4, 5, 6, 3, dtype=torch.float64), height=8, width=8)
    assert projection.pixels_xy.shape == (3, 4, 5, 6, 2)
    assert projection.depth.shape == projection.valid.shape == (3, 4, 5, 6)


def test_direction_towards_camera_by_hand():
    directions = towards_camera(torch.tensor([[0.0, 0, 0], [3, 4, 1]]), torch.tensor([[0.0, 0, 1], [0, 0, 0]]))
    torch.testing.assert_close(directions[0], torch.tensor([[0.0, 0, -1], [0, 0, 0]]))  # at the centre: no direction
    torch.testing.assert_close(directions[1, 0], torch.tensor([0.6, 0.8, 0]))
    torch.testing.assert_close(directions[1, 1], torch.tensor([3, 4, 1]) / math.sqrt(26))
