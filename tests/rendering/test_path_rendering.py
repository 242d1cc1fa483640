"""Filming a scene: the right frames from the right views, taken up where they were left, and never a stale one."""

import json

import imageio
import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import save_checkpoint
from maskrf_core.datasets.batches.batch import FROM_DEPTHS
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.path_rendering import path_batch, render_path
from maskrf_core.rendering.rendered_views import PixelRenderer, as_bytes
from maskrf_core.settings.sections import ModelSettings, PathSettings, RenderingSettings
from maskrf_core.support.errors import CheckpointError, DatasetError, SettingsError
from tests.datasets.rig_scene import use_rigs

PATH = PathSettings(frames=4, largest_side=17, frames_per_second=5)
SCENE = "demo/test_00"


@pytest.fixture(scope="module")
def renderer():
    torch.manual_seed(0)
    return Renderer(ModelSettings(coarse_samples=5, fine_samples=2)).eval()


@pytest.fixture
def film(renderer, tmp_path):
    """Film the scene into one folder, with other settings or another source where they are given."""

    def call(source=renderer, scene=SCENE, path=PATH, **asked):
        asked = {"working_views": 3, "rays_per_chunk": 4096, "device": "cpu", "data_root": tmp_path} | asked
        return render_path(source, scene, path=path, folder=tmp_path / "film", **asked)

    return call


def read(paths):
    return [imageio.v3.imread(path) for path in paths]


def test_frames_and_videos_are_there(film):
    result = film()
    assert (result.kind, result.rendered, len(result.cameras)) == ("orbit", 4, 4)
    names = [f"{kind}_{index:04d}.png" for kind in ("colour", "depth") for index in range(4)]
    assert sorted(path.name for path in result.folder.iterdir()) == sorted(
        [*names, "colour.mp4", "depth.mp4", "path.json"]
    )
    for kind in ("colour", "depth"):
        pictures = read(result.frames(kind))
        assert [picture.shape for picture in pictures] == [(17, 17, 3)] * 4
        assert len({picture.tobytes() for picture in pictures}) == 4
        with imageio.get_reader(result.video(kind)) as reader:
            assert reader.get_meta_data()["size"] == (18, 18)
            shown = [frame for frame in reader]  # noqa: C416 - a list asks for its length first, which is infinite
        assert len(shown) == 4
        for frame, picture in zip(shown, pictures, strict=True):
            assert np.abs(frame[:17, :17].astype(int) - picture).mean() < 20  # as far as compression leaves it
    about = json.loads((result.folder / "path.json").read_text())
    np.testing.assert_allclose(about["cameras"][2]["w2c"], result.cameras[2].w2c)


def test_a_frame_is_what_the_renderer_shows_from_there(film, renderer):
    result = film()
    views = SceneViews(open_scene(SCENE))
    references = views.scene.split("test")[0]
    batch = path_batch(views, result.cameras[1], references, 3, FROM_DEPTHS)
    rgb = renderer.render(batch, 4096).fine.rgb.reshape(17, 17, 3).numpy()
    np.testing.assert_array_equal(read(result.frames("colour"))[1], as_bytes(rgb))


def test_a_camera_of_the_scene_gets_the_batch_that_evaluation_gives_it(film):
    views = SceneViews(open_scene(SCENE))
    references, (query, *_) = views.scene.split("test")
    photograph = evaluation_batch(views, query, references, 4)
    camera = film(path=PathSettings(frames=2)).cameras[0]
    same = type(camera)(
        views.scene.K(query), views.scene.w2c(query), views.scene.depth_range(query), photograph.query.image_size
    )
    batch = path_batch(views, same, references, 4, FROM_DEPTHS)
    for part in ("images", "K", "w2c", "depth_range", "depths", "training_index"):
        torch.testing.assert_close(
            getattr(batch.references, part), getattr(photograph.references, part), rtol=0, atol=0
        )
    for part in ("K", "w2c", "depth_range"):
        assert torch.equal(getattr(batch.query, part), getattr(photograph.query, part))
    torch.testing.assert_close(batch.pixels_xy, photograph.pixels_xy)


def test_an_interrupted_film_goes_on_where_it_was(film, monkeypatch):
    render, calls = PixelRenderer.__call__, []

    def counted(self, batch):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return render(self, batch)

    monkeypatch.setattr(PixelRenderer, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        film()
    result = film()
    assert (result.rendered, len(calls)) == (2, 5)
    assert len(read(result.frames("colour"))) == 4
    before = {path: path.stat().st_mtime_ns for path in result.folder.iterdir()}
    assert film().rendered == 0
    assert {path: path.stat().st_mtime_ns for path in result.folder.iterdir()} == before


@pytest.mark.parametrize("kind", ["colour", pytest.param("depth", marks=pytest.mark.long)])
@pytest.mark.parametrize("harm", ["half", "gone", "another frame"])
def test_what_is_not_that_frame_is_rendered_again(film, kind, harm):
    result = film()
    expected = [path.read_bytes() for path in [*result.frames(kind), result.video(kind)]]
    file = result.frames(kind)[2]
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-40] if harm == "half" else result.frames(kind)[1].read_bytes())
    assert film().rendered == 1
    assert [path.read_bytes() for path in [*result.frames(kind), result.video(kind)]] == expected


def test_what_is_no_frame_of_a_film_stays(film):
    folder = film().folder
    frame = (folder / "colour_0001.png").read_bytes()
    (folder / "colour_0007.png").write_bytes(frame)  # of a longer path
    mine = ["colour_0001_mine.png", "colour_9.png", "colour_2024.png"]
    for name, content in zip(mine, (frame, frame, b"a photograph"), strict=True):
        (folder / name).write_bytes(content)
    (folder / "depth_0008.png").mkdir()
    (folder / "depth_0009.png").symlink_to(folder / "depth_0001.png")
    film()
    assert not (folder / "colour_0007.png").exists()
    assert all((folder / name).exists() for name in mine)
    assert (folder / "depth_0008.png").is_dir()
    assert (folder / "depth_0009.png").is_symlink()


def test_another_speed_renders_nothing_but_the_videos(film):
    result = film()
    assert film(path=PATH.model_copy(update={"frames_per_second": 10})).rendered == 0
    with imageio.get_reader(result.video("colour")) as reader:
        assert reader.get_meta_data()["fps"] == 10


def test_a_damaged_video_is_written_again(film):
    result = film()
    whole = result.video("depth").read_bytes()
    result.video("depth").write_bytes(whole[:100])
    film()
    assert result.video("depth").read_bytes() == whole


@pytest.mark.parametrize(
    "changed",
    [
        {"working_views": 4},
        {"path": PATH.model_copy(update={"radius_scale": 1.1})},
        {"path": PATH.model_copy(update={"kind": "interpolate"})},
        {"path": PATH.model_copy(update={"largest_side": 16})},
        {"scene": "demo/test_01"},
        {"rays_per_chunk": 100},
        {"rendering": RenderingSettings(mode="adaptive")},
    ],
)
def test_what_changes_the_pictures_renders_them_all(film, changed):
    film()
    assert film(**changed).rendered == 4


def test_another_checkpoint_renders_all_and_the_same_one_nothing(film, renderer, tmp_path):
    film()
    checkpoint = tmp_path / "model.pt"
    save_checkpoint(checkpoint, renderer, 1, {})
    assert film(checkpoint).rendered == 0  # the same weights, wherever they come from
    weights = renderer.state_dict()
    other = Renderer(renderer.settings)
    other.load_state_dict(
        weights | {"coarse.aggregation.density.0.bias": weights["coarse.aggregation.density.0.bias"] + 1}
    )
    save_checkpoint(checkpoint, other, 1, {})
    assert film(checkpoint).rendered == 4


def test_a_film_of_a_rig_is_rendered_from_lenses_that_look_the_same_way(film, monkeypatch, tmp_path):
    scene = use_rigs(monkeypatch, tmp_path)
    asked = {"scene": scene, "path": PathSettings(frames=2, kind="interpolate", largest_side=17), "working_views": 6}
    assert film(**asked).rendered == 2
    assert film(**asked, view_choice="nearest_looking").rendered == 0  # as captures are by default
    with pytest.warns(UserWarning, match=scene):
        assert film(**asked, view_choice="nearest").rendered == 2


def test_fewer_frames_leave_none_of_the_others(film):
    others = [film().folder / name for name in ("colour_x.png", "other_0009.png")]
    for other in others:
        other.touch()
    result = film(path=PATH.model_copy(update={"frames": 2}))
    assert set(result.folder.glob("*_*.png")) == {*result.frames("colour"), *result.frames("depth"), *others}
    with imageio.get_reader(result.video("colour")) as reader:
        assert reader.count_frames() == 2


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"scene": "demo/tset_00"}, DatasetError, "test_00"),
        ({"path": PathSettings(kind="none")}, SettingsError, "no path is asked for"),
        ({"working_views": 17}, DatasetError, "17 working views are asked for, but only 16.*for a camera path"),
        ({"source": "nowhere.pt"}, CheckpointError, "no such checkpoint"),
        ({"path": PathSettings(views=["view_00", "view_2"])}, DatasetError, "no reference view"),
    ],
)
def test_what_cannot_be_filmed_leaves_nothing(film, tmp_path, asked, error, message):
    path = asked.get("path")
    if path is not None and path.views:
        asked = {"path": path.model_copy(update={"kind": "interpolate"})}
    with pytest.raises(error, match=message):
        film(**asked)
    assert not (tmp_path / "film").exists()
