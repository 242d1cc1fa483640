"""Which scenes are drawn how often, what is opened when, and what each data set's views become."""

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.batches.training_views import draw_from_scene
from maskrf_core.datasets.records import held_out_places, place_of
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError, SettingsError
from tests.datasets.memory_scene import MemoryScene, make_scenes, use_folders


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    use_folders(monkeypatch)


@pytest.fixture
def data_root(tmp_path):
    make_scenes(tmp_path, *(f"gso/object_{number}" for number in range(5)), "space/hall", "space/park")
    return tmp_path


def mixture(data_root, *names, open_mib=256.0, **changes):
    values = {"working_views": 3, "rays": 4, "data_root": str(data_root), "train_scenes": list(names)} | changes
    return Mixture(DataSettings(**values), None, open_mib=open_mib)


def drawn_names(mixture, times, seed=0):
    generator = np.random.default_rng(seed)
    return [mixture.draw(generator).origin.split(",")[0].removeprefix("scene ") for _ in range(times)]


def test_data_sets_by_weight_then_scenes_alike(data_root):
    names = drawn_names(mixture(data_root, "gso", "space"), 1500)
    gso = [name for name in names if name.startswith("gso/")]
    assert len(gso) / 1500 == pytest.approx(0.8, abs=0.045)  # 80 : 20
    counts = np.unique(gso, return_counts=True)[1]
    assert ((counts - len(gso) / 5) ** 2 / (len(gso) / 5)).sum() < 18.5  # chi-square, 4 degrees of freedom


def test_weights_can_be_set_and_are_one_where_there_is_none(data_root):
    drawn = mixture(data_root, "gso", "space", "demo/train_00", data_set_weights={"space": 2.0})
    assert dict(zip(drawn.groups, drawn.probabilities, strict=True)) == pytest.approx(
        {"gso": 80 / 83, "space": 2 / 83, "demo": 1 / 83}
    )
    with pytest.raises(SettingsError, match=r"data\.data_set_weights\.spaec: unknown data set; did you mean space\?"):
        mixture(data_root, "gso", data_set_weights={"spaec": 2.0})


def test_what_is_absent_is_left_out_with_one_line(data_root):
    drawn = mixture(data_root, "gso", "dtu_train", "space")
    assert drawn.notices == [
        f"dtu_train: absent (no scenes below {data_root}); left out, weights are renormalised over gso, space"
    ]
    assert list(drawn.probabilities) == [0.8, 0.2]
    assert mixture(data_root, "gso").notices == []


def test_nothing_present_is_an_error_and_so_is_a_missing_scene(tmp_path):
    with pytest.raises(DatasetError, match=r"gso, space are not below .*01_data_prep"):
        mixture(tmp_path, "gso", "space")
    with pytest.raises(DatasetError, match=r"gso/teapot: no scene"):
        mixture(tmp_path, "gso/teapot")
    with pytest.raises(DatasetError, match=r"unknown data set 'gsso'.* Did you mean 'gso'"):
        mixture(tmp_path, "gsso")


def test_scenes_of_whole_data_sets_are_opened_when_drawn(data_root, monkeypatch):
    (data_root / "gso" / "object_3" / "broken").touch()
    opened = []
    real = Mixture._opened
    monkeypatch.setattr(Mixture, "_opened", lambda self, name: opened.append(name) or real(self, name))
    drawn = mixture(data_root, "gso", "space/hall")
    assert opened == ["space/hall"]
    assert [views.scene.name for views in drawn.first_scenes()] == ["gso/object_0", "space/hall"]
    with pytest.raises(DatasetError, match="object_3: missing or broken"):
        drawn_names(drawn, 200)
    assert len(opened) == len(set(opened))  # kept open


def test_not_all_scenes_stay_open(data_root, monkeypatch):
    opened, real = [], Mixture._opened
    monkeypatch.setattr(Mixture, "_opened", lambda self, name: opened.append(name) or real(self, name))
    size = mixture(data_root, "gso").open("gso/object_0").bytes
    opened.clear()
    some = mixture(data_root, "gso", open_mib=2.5 * size / 2**20)
    names = drawn_names(some, 30)
    assert len(opened) > len(set(opened)) == 5
    opened.clear()
    assert drawn_names(mixture(data_root, "gso"), 30) == names
    assert len(opened) == 5
    opened.clear()
    assert drawn_names(mixture(data_root, "gso", open_mib=0.0), 30) == names


def test_hundreds_of_scenes_stay_open(data_root, monkeypatch):
    make_scenes(data_root, *(f"space/hall_{number}" for number in range(300)))
    drawn = mixture(data_root, "space")
    for name in drawn.names:
        drawn.open(name)
    monkeypatch.setattr(Mixture, "_opened", None)
    assert len({drawn.open(name) for name in drawn.names}) == 302


def test_scenes_with_too_few_views_are_passed_over_with_a_line_each(data_root, capsys):
    make_scenes(data_root, "gso/a_thin_one", views=3)
    drawn = mixture(data_root, "gso")
    assert drawn.first_scenes()[0].scene.name == "gso/object_0"
    assert "gso/a_thin_one" not in drawn_names(drawn, 100)
    assert capsys.readouterr().out.splitlines() == [
        "gso/a_thin_one: passed over, its 3 training views are too few for 3 working views and a query"
    ]
    with pytest.raises(DatasetError, match=r"gso: none of its 6 scenes .* too few for 9 working views"):
        mixture(data_root, "gso", working_views=9).first_scenes()


def test_held_out_scenes_are_not_among_those_of_a_whole_data_set(tmp_path):
    make_scenes(tmp_path, "dtu_train/scan1", "dtu_train/scan106", "dtu_train/scan24")
    assert mixture(tmp_path, "dtu_train").names == ["dtu_train/scan1"]
    make_scenes(tmp_path, "real_iconic/data2_apeskeleton", "real_iconic/data2_fernvlsb")
    assert mixture(tmp_path, "real_iconic").names == ["real_iconic/data2_apeskeleton"]
    assert len(held_out_places()) == 15 + 7


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nerf_synthetic/lego/black_400", "nerf_synthetic/lego/white_200"),
        ("llff_colmap/fern/high", "nerf_llff/fern/8"),
        ("dtu_test/birds/black_800", "dtu_train/scan106"),
        ("dtu_test/scan65/black_400", "dtu_train/scan65"),
        ("blended_mvs/building/half", "blended_mvs/5bf18642c50e6f7f8bdbd492/half"),
    ],
)
def test_one_place_by_any_name(one, other):
    assert place_of(one) == place_of(other)
    assert place_of(one) != place_of("demo/train_00")


def draws(name, times=120, *, scene=None, **changes):
    views = SceneViews(scene or MemoryScene(name=name))
    settings = DataSettings(**{"working_views": 3, "rays": 8} | changes)
    return views, [
        draw_from_scene(views, settings, generator=np.random.default_rng(seed)).batch for seed in range(times)
    ]


def test_objects_see_noisy_depths_and_are_supervised_by_true_ones():
    scene = MemoryScene(name="gso/cup")
    scene.foreground = np.zeros((32, 48), bool)
    scene.foreground[8:24, 10:30] = True
    _, batches = draws("gso/cup", scene=scene)
    assert all((batch.references.true_depths == 3).all() for batch in batches)
    assert all(batch.query.depths is None and batch.references.masks is None for batch in batches)
    noisy = [bool((batch.references.depths != 3).any()) for batch in batches]
    assert np.mean(noisy) > 0.9  # of three views, each is left alone with 0.75 · 0.5 · 0.5
    lengths = {round(float(torch.diff(batch.query.depth_range[0])), 4) for batch in batches}
    assert len(lengths) > 90  # a tenth is left as it is
    assert all(batch.query.depth_range[0, 0] < 3 < batch.query.depth_range[0, 1] for batch in batches)


def test_forward_facing_views_are_cropped_and_mirrored_together():
    views, batches = draws("space/hall", crop_height=32, crop_width=40)
    assert {batch.query.image_size for batch in batches} == {(32, 40)}
    assert {batch.references.image_size for batch in batches} == {(32, 48)}  # padded to 16
    mirrored = [bool((batch.query.K[0, 0, 0] < 0).item()) for batch in batches]
    assert 35 < sum(mirrored) < 85
    for batch, is_mirrored in zip(batches, mirrored, strict=True):
        assert (batch.references.K[:, 0, 0] < 0).tolist() == [is_mirrored] * 3
        torch.testing.assert_close(batch.references.K[:1], batch.query.K)  # one window
        assert (batch.pixels_xy < torch.tensor([40, 32])).all()
    assert views.query("view_0").image_size == (32, 48)


@pytest.mark.parametrize("name", ["demo/train_00", "nerf_llff/fern/8", "dtu_train/scan1"])
def test_other_views_stay_whole(name):
    _, batches = draws(name, 40, crop_height=32, crop_width=32)
    assert {batch.query.image_size for batch in batches} == {(32, 48)}
    assert all(batch.query.K[0, 0, 0] > 0 for batch in batches)


SUPERVISED = {None: {"gso/cup", "demo/train_00"}, False: set()}


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("name", ["gso/cup", "demo/train_00", "dtu_train/scan1", "space/hall", "nerf_llff/fern/8"])
def test_depth_supervises_where_it_is_exact_or_as_asked(name, asked):
    _, batches = draws(name, 10, depth_supervision=asked, crop_height=32, crop_width=40)
    for references in (batch.references for batch in batches):
        assert references.depths is not None
        assert (references.true_depths is not None) == (asked is True or name in SUPERVISED[asked])
        if references.true_depths is not None:
            assert (references.true_depths == 3).all()
            assert references.true_depths.shape == references.depths.shape
        if name != "gso/cup":
            assert (references.depths == 3).all()


@pytest.mark.parametrize("name", ["gso/cup", "demo/train_00", "dtu_train/scan1", "space/hall"])
def test_ranges_of_a_batch_are_of_one_length(name):
    for batch in draws(name, 30)[1]:
        lengths = torch.cat([batch.query.depth_range, batch.references.depth_range]).diff(dim=1)
        torch.testing.assert_close(lengths, lengths[:1].expand_as(lengths))


def test_rays_are_where_the_record_says():
    for name, expected in (("space/hall", 0.9 + 0.1 * 0.6), ("dtu_train/scan1", 40 * 26 / (48 * 32))):
        inside = []
        for batch in draws(name, 60, rays=100)[1]:
            x, y = batch.pixels_xy.T
            inside.append(float(((x >= 4) & (x < 44) & (y >= 3) & (y < 29)).float().mean()))
        assert np.mean(inside) == pytest.approx(expected, abs=0.03)


def test_same_generator_same_batch():
    for name in ("gso/cup", "space/hall"):
        (_, first), (_, again) = draws(name, 3), draws(name, 3)
        for one, other in zip(first, again, strict=True):
            assert torch.equal(one.pixels_xy, other.pixels_xy)
            assert torch.equal(one.references.depths, other.references.depths)
            assert torch.equal(one.references.K, other.references.K)


def test_origin_says_what_the_batch_is_made_of():
    draw = draw_from_scene(
        SceneViews(MemoryScene()), DataSettings(working_views=2, rays=4), generator=np.random.default_rng(1)
    )
    query, *references = (-int(x) for x in [draw.batch.query.w2c[0, 0, 3], *draw.batch.references.w2c[:, 0, 3]])
    named = ", ".join(f"view_{reference}" for reference in references)
    assert draw.origin == f"scene memory, query view_{query}, references {named}"
