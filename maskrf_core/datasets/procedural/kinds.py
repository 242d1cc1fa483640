"""The kinds of procedural scenes: objects on black or a plain colour, tables, rooms; all follows from the number."""

from collections.abc import Callable

import numpy as np

from maskrf_core.datasets.procedural import furniture
from maskrf_core.datasets.procedural.arrangements import (
    DISC,
    about_z,
    any_rotation,
    basin,
    corner,
    court,
    floating,
    scatter,
    stand,
    table,
    towers,
)
from maskrf_core.datasets.procedural.contents import HUE_STEP, Contents, Item, paint
from maskrf_core.datasets.procedural.furniture import PIECES, Stand, box, panel, spots
from maskrf_core.datasets.procedural.lights import studio_light
from maskrf_core.datasets.procedural.made_cameras import arc_cameras, dome_cameras, row_cameras, walk_cameras
from maskrf_core.datasets.procedural.shape_changes import make_changed_shape
from maskrf_core.datasets.procedural.shapes import SHAPES as ALL_SHAPES
from maskrf_core.datasets.procedural.shapes import Mesh, make_shape
from maskrf_core.datasets.procedural.textures import make_texture

IMAGE_SIZE = 128
VIEW_COUNT = 24
TEST_SHAPES = ("goblet", "pebble", "star", "trefoil", "cinquefoil")  # which only the demo's test scenes show
SHAPES = [kind for kind in ALL_SHAPES if kind not in TEST_SHAPES]
_PATTERNS = "checker stripes dots bricks plaid cells confetti marble speckle clouds camouflage contours"
TEXTURES = [*_PATTERNS.split(), "patchwork", "patchwork"]
UP = np.array([0.0, 0.0, 1.0])
ARRANGEMENTS = (table, towers, floating, court, basin, corner)


def objects(rng: np.random.Generator) -> Contents:
    """Put one to nine or so objects together on black, cameras all around."""
    if rng.random() < 0.2:
        few = int(rng.integers(1, 4))
        places = about_z(rng.uniform(0, 6))[:2, :2] @ np.array([[0.0, 0.62, -0.6], [0.0, 0.3, 0.45]]) * (few > 1)
        meshes = [
            stand(_shape(rng), *places[:, k], rng.uniform(0.45, 0.9 if few == 1 else 0.6), 0.0, np.eye(3))
            for k in range(few)
        ]
        meshes += [DISC] if rng.random() < 0.5 else []
    else:
        meshes = ARRANGEMENTS[rng.integers(len(ARRANGEMENTS))](lambda: _shape(rng), rng)
    items = _painted(meshes, rng)
    light = studio_light(rng)
    away = rng.uniform(1.7, 3.6)
    vertices = np.concatenate([item.mesh.vertices for item in items])
    cameras = dome_cameras(vertices, VIEW_COUNT, IMAGE_SIZE, (0.93 * away, 1.07 * away), rng=rng)
    return Contents(items, light, *cameras, IMAGE_SIZE)


def cutouts(rng: np.random.Generator) -> Contents:
    """Put objects together as `objects` does, on white or another plain colour, as products are photographed."""
    colour = np.ones(3) if rng.random() < 0.6 else rng.uniform(0.05, 1.0, 3)
    return objects(rng)._replace(background=colour)


def tables(rng: np.random.Generator) -> Contents:
    """Set objects on a table in a room, cameras on an arc around it."""
    field_of_view = np.radians(rng.uniform(35, 75))
    radius = rng.uniform(0.5, 0.9)
    away = radius * rng.uniform(1.05, 1.4) / np.sin(field_of_view / 2)
    width, depth, height = (2 * (away + radius) * rng.uniform(1.0, 1.5) + 0.6 for _ in range(3))
    centre, top = np.array([0.0, depth / 2, 0.0]), rng.uniform(0.5, 0.9)
    height = max(0.6 * height, top + away)
    if rng.random() < 0.5:
        board = DISC.moved(radius)
        reach = radius
    else:
        board = box(2 * radius, 1.5 * radius, 0.06, (0, 0, -0.03)).moved(rotation=about_z(rng.uniform(0, 6)))
        reach = 0.75 * radius
    foot = make_shape("cylinder", rng=rng)
    foot = foot.moved(top / float(np.ptp(foot.vertices[:, 2])), offset=np.array([0, 0, -0.04 - top / 2]))
    placed = scatter(lambda: _shape(rng), int(rng.integers(4, 12)), (0.2, 0.5), [], 1.0, rng)
    on_table = [mesh.moved(reach) for mesh in placed]
    meshes = [mesh.moved(offset=centre + top * UP) for mesh in (board, foot, *on_table)]
    items = _painted(meshes, rng) + _room(width, depth, height, rng)
    target = centre + (top + 0.25 * radius) * UP
    region = np.array([[-width / 2, 0.0], [width / 2, depth]])
    taken = [(centre[0], centre[1], away + 0.15)]  # nothing stands between cameras and table
    items += _furnished(spots(4, (0.2, 0.6), region, taken, rng=rng), rng)
    cameras = arc_cameras(target, away, VIEW_COUNT, field_of_view, IMAGE_SIZE, rng=rng)
    return Contents(items, None, *cameras, IMAGE_SIZE)


def rooms(rng: np.random.Generator) -> Contents:
    """Furnish a whole room, cameras in a row before it or on a walk into it."""
    width, depth, height = rng.uniform(2.6, 6), rng.uniform(3.2, 7), rng.uniform(2.2, 3.2)
    field_of_view = np.radians(rng.uniform(35, 75))
    eye, aside = rng.uniform(0.8, 1.6), rng.uniform(-0.15, 0.15) * width
    start = np.array([aside, 0.55, eye])
    walks = rng.random() < 0.5
    end = np.array([-aside, depth * rng.uniform(0.3, 0.45), eye])
    free_until = (end[1] if walks else start[1]) + rng.uniform(0.5, 1.1)
    region = np.array([[-width / 2, free_until], [width / 2, depth]])
    items = _room(width, depth, height, rng)
    items += _furnished(spots(int(rng.integers(6, 14)), (0.22, 0.75), region, [], rng=rng), rng)
    items += _pictures(width, depth, height, rng) + _hanging(region, height, rng)
    if walks:
        cameras = walk_cameras(start, end, VIEW_COUNT, field_of_view, IMAGE_SIZE, rng=rng)
    else:
        aim = np.array([rng.uniform(-0.2, 0.2) * width, depth * rng.uniform(0.55, 0.9), rng.uniform(0.4, 1.2)])
        cameras = row_cameras(start, aim, VIEW_COUNT, field_of_view, IMAGE_SIZE, rng=rng)
    return Contents(items, None, *cameras, IMAGE_SIZE)


KINDS: dict[str, Callable[[np.random.Generator], Contents]] = {
    "objects": objects,
    "tables": tables,
    "rooms": rooms,
    "cutouts": cutouts,
}


def compose(name: str) -> Contents:
    """Draw a scene by its name without the data set's (`rooms_0012`), in metres, z up."""
    kind, _, number = name.partition("_")
    return KINDS[kind](np.random.default_rng([2304_04963, list(KINDS).index(kind), int(number)]))


def _shape(rng: np.random.Generator) -> Mesh:
    return make_changed_shape(str(rng.choice(SHAPES)), rng=rng)


def _painted(meshes: list[Mesh], rng: np.random.Generator) -> list[Item]:
    return [item._replace(texture=_muted(item.texture, rng)) for item in paint(meshes, TEXTURES, rng=rng)]


def _muted(texture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take colour or contrast from some of the textures: the demo's are louder than most of the world."""
    if rng.random() < 0.6:
        texture = texture + rng.uniform(0.2, 0.9) * (texture.mean(-1, keepdims=True) - texture)
    if rng.random() < 0.5:
        texture = texture + rng.uniform(0.2, 0.8) * (texture.mean((0, 1)) - texture)
    return texture


def _room(width: float, depth: float, height: float, rng: np.random.Generator) -> list[Item]:
    """Paint floor, walls and ceiling, each with repeats of 0.5 to 3 m, and light them."""
    items, hue = [], rng.uniform()
    for wall in furniture.walls(width, depth, height):
        texture = _muted(make_texture(str(rng.choice(TEXTURES)), hue + rng.normal() * 0.1, rng=rng), rng)
        spans = np.linalg.norm(wall.vertices[[1, 2]] - wall.vertices[0], axis=1)
        repeats = tuple(float(max(1, round(span / rng.uniform(0.5, 3)))) for span in spans)
        brightened = 0.25 + 0.75 * texture if rng.random() < 0.6 else texture
        items.append(Item(wall, brightened, repeats, "diffuse", 0.0))
        hue += HUE_STEP
    return items + _lights(width, depth, height, rng)


def _lights(width: float, depth: float, height: float, rng: np.random.Generator) -> list[Item]:
    """Hang panels or one bright sheet below the ceiling, and perhaps a window and a round lamp."""
    items, x, top = [], width / 2, height - 0.01

    def shine(mesh: Mesh, power: float) -> None:
        tint = np.array([1 + (warm := rng.uniform(-0.2, 0.2)), 1.0, 1 - warm])
        corners = mesh.vertices[mesh.triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
        items.append(Item(mesh, np.ones((4, 4, 3)) * tint, (1.0, 1.0), "diffuse", 0.0, emission=power / area))

    if rng.random() < 0.4:
        shine(panel([-x, depth, top], [width, 0, 0], [0, -depth, 0]), 1.0)
    else:
        for _ in range(int(rng.integers(1, 4))):
            side = rng.uniform(0.4, 1.2, 2)
            at = rng.uniform([-x, 0], [x - side[0], depth - side[1]])
            shine(panel([at[0], at[1] + side[1], top], [side[0], 0, 0], [0, -side[1], 0]), rng.uniform(0.3, 1))
    if rng.random() < 0.5:
        low, wide, tall = rng.uniform(0.5, 1.0), rng.uniform(0.6, 1.6), rng.uniform(0.6, 1.0)
        begin = rng.uniform(0.3, max(0.31, depth - wide - 0.2))
        left = [[-x + 0.01, begin, low], [0, wide, 0], [0, 0, tall]]
        right = [[x - 0.01, begin + wide, low], [0, -wide, 0], [0, 0, tall]]
        shine(panel(*(left if rng.random() < 0.5 else right)), rng.uniform(0.2, 0.6))
    if rng.random() < 0.6:
        size = rng.uniform(0.04, 0.16)  # the smaller, the sharper its shadows
        place = rng.uniform([-0.8 * x, 0.3 * depth, 0.75 * height], [0.8 * x, 0.9 * depth, height - 0.2])
        shine(make_shape("sphere", rng=rng).moved(size, offset=place), rng.uniform(0.3, 1.2))
    return items


def _furnished(places: list[tuple[float, float, float]], rng: np.random.Generator) -> list[Item]:
    """Set a piece of furniture, or one large object, on each place, and objects on most of what they offer."""
    items = []
    for x, y, radius in places:
        if rng.random() < 0.3:
            floor = [stand(_shape(rng), x, y, radius * rng.uniform(0.6, 0.95), 0.0, about_z(rng.uniform(0, 6)))]
            items += _painted(floor, rng)
            continue
        piece = PIECES[rng.integers(len(PIECES))](radius, rng).placed(x, y, rng.uniform(0, 2 * np.pi))
        (painted,) = _painted(piece.parts[:1], rng)
        items += [painted._replace(mesh=part) for part in piece.parts]
        free = [place for place in piece.stands if rng.random() < 0.6]
        items += _painted([_on(place, rng) for place in free], rng)
    return items


def _on(place: Stand, rng: np.random.Generator) -> Mesh:
    size = place.radius * rng.uniform(0.6, 0.95)
    return stand(_shape(rng), place.x, place.y, size, place.z, about_z(rng.uniform(0, 6)))


def _pictures(width: float, depth: float, height: float, rng: np.random.Generator) -> list[Item]:
    """Hang framed pictures on the wall opposite the cameras."""
    meshes = []
    for _ in range(int(rng.integers(1, 5))):
        wide, tall = rng.uniform(0.3, 0.9, 2)
        place = rng.uniform([-width / 2 + wide, 0.6 + tall / 2], [width / 2 - wide, height - 0.2 - tall / 2])
        meshes.append(box(wide, 0.04, tall, (place[0], depth - 0.03, place[1])))
    return _painted(meshes, rng)


def _hanging(region: np.ndarray, height: float, rng: np.random.Generator) -> list[Item]:
    """Hang up to three objects from the ceiling, each on a thin rod."""
    meshes = []
    for x, y, radius in spots(int(rng.integers(0, 4)), (0.1, 0.3), region, [], rng=rng):
        low = rng.uniform(0.5, 0.75) * height
        meshes.append(_shape(rng).moved(radius, any_rotation(rng), np.array([x, y, low])))
        meshes.append(box(0.015, 0.015, height - low, (x, y, (low + height) / 2)))
    return _painted(meshes, rng) if meshes else []
