# %% [markdown]
# # 1 · Is the data whole?
#
# **Question.** Is my data whole, and do photographs, cameras, masks and depth fit together well enough to learn from?
#
# **Expect.** A table of every data set: present, complete, broken or absent, the first bad file and what to do about it, and where to get what is missing. Then one scene closely: its cameras in 3-D; features matched across views within 2 pixels of their epipolar lines; depth estimated from the photographs alone within 2 % of the truth on a demo scene; and colours that agree when they are carried from one view into another. A few seconds to a minute on the demo scenes.

# %% tags=["parameters"]
preset = "demo"  # sizes: demo (minutes on a CPU) or paper (a GPU node)
data_root = "data"  # folder that holds the data sets; the demo scenes need none
runs_root = "runs"  # folder of the run folders, relative to the checkout
scene = "demo/train_04"  # the scene to look at closely; one's own photographs: capture/<name>/raw
depth_views = None  # how many views' depth is estimated, those that match best; None: all reference views
point = None  # "x, y" in pixels of the epipolar check; None: a strong corner
unpack = False  # unpack the archives that are found in data_root and data_root/downloads
check = ""  # data sets or scenes to look through thoroughly, separated by commas
prepare_depth = ""  # data sets or scenes whose depth is estimated and kept, separated by commas
seed = 0  # not used here: nothing is drawn at random
device = "auto"  # of the depth estimator: auto, cpu or cuda
overrides = ""  # any other settings by section, name and value, separated by commas: see the README

# %% [markdown]
# Every parameter is checked before anything slow is imported: a name that does not exist, a wrong type or a value out of range stops here. `overrides` takes any other setting, such as `data.rays=256, model.fine_samples=16`.

# %%
from maskrf_core.workbook.parameters import DataParameters, check_parameters

parameters = check_parameters(DataParameters, globals())

# %%
from maskrf_core.datasets import inventory
from maskrf_core.rendering.evaluation import resolve_device
from maskrf_core.support.paths import display_path
from maskrf_core.workbook import viewers
from maskrf_core.workbook.experiments import epipolar_geometry as epipolar
from maskrf_core.workbook.experiments import preparation, tables
from maskrf_core.workbook.experiments import recorded_results as records
from maskrf_core.workbook.figures import camera_pictures, panels, show
from maskrf_core.workbook.parameters import split_list

folder, data_folder = parameters.run_folder("01_data_prep"), parameters.data_folder
device_used = resolve_device(parameters.device)
print("results go to", display_path(folder))

# %% [markdown]
# ## Downloaded archives
#
# Archives (zip, tar, tar.gz, tar.bz2, tar.xz) in the data root or its folder `downloads` are recognised by what is in them. With `unpack = True` each goes to where it belongs: checked as a whole first, never over a file that is there, and taken up again where it was interrupted.

# %%
archives = preparation.found_archives(data_folder, unpack_them=parameters.unpack)
tables.or_text(archives, "No archives are in the data root or its folder `downloads`.")

# %% [markdown]
# ## Which data sets are there?
#
# Every scene is opened and its first photograph, mask and depth decoded (of more than 200 scenes, 200). The demo scenes come with the package; the others are sought below `data_root`. What is absent is only needed by runs that name it. *Complete* means that nothing is wrong and that no fewer scenes are there than were published, where that number is known; *part*, that there are fewer; *to prepare*, that photographs of your own have no cameras yet.

# %%
found = inventory.inspect(data_folder)
tables.data_sets(found)

# %%
print(tables.remarks(found))

# %% [markdown]
# ### Where to get what is missing
#
# Links lead to the pages that hand the data out; shares of authors that may be gone say so.

# %%
tables.where_to_get(found)

# %% [markdown]
# ### A thorough look
#
# `check = "nerf_synthetic, gso/Toy_Car/black_400"` decodes every photograph, mask and depth map of these data sets or scenes.

# %%
names = inventory.named_scenes(split_list(parameters.check), data_folder)
checked = inventory.inspect_scenes(names, data_folder)
tables.or_text(tables.scenes(checked), "Nothing was asked for in `check`.")

# %% [markdown]
# ### The demo scenes
#
# One photograph of each: `train` scenes are trained on, `validation` scenes choose settings, and `test` scenes are looked at once, at the end. No scene is in two of them.

# %%
sheet = preparation.first_photographs(["demo/train", "demo/validation", "demo/test"])
show(panels.contact_sheet(sheet, f"{len(sheet)} demo scenes"), folder / "scenes.png")

# %%
# NBVAL_CHECK_OUTPUT
splits = [name.split("/")[1].split("_")[0] for name in sheet]
{split: splits.count(split) for split in dict.fromkeys(splits)}

# %% [markdown]
# ## One scene closely
#
# A scene answers a few questions about each of its images: photograph, intrinsics, pose, depth range, mask and, where it is known, depth. Photographs of your own (`scene = "capture/<name>/raw"`, in `<data_root>/captures/<name>`) are made into a scene here, once.
#
# Every query is rendered from a few reference views. `overrides = "data.view_choice=nearest"` takes those whose camera centres are nearest, as published; `nearest_looking`, which captures have by default, also heeds where cameras look. The figure shows which views the rule chooses for one query.

# %%
scene_data = preparation.opened(parameters.scene, data_folder)
references, queries = scene_data.split("test")
print(f"{scene_data.name}: {len(references)} reference views, {len(queries)} queries")
assert not set(references) & set(queries), "a query must not be its own reference"

# %%
shown = [*references, *queries]
stacked = preparation.stacked_cameras(scene_data, shown)
held_out = set(range(len(references), len(shown)))
by_rule = preparation.chosen_views(scene_data, parameters.config("finetune").data)
print(by_rule)
choice = camera_pictures.ShownChoice(
    shown.index(by_rule.query), {shown.index(name) for name in by_rule.references}, by_rule.rule
)
show(camera_pictures.camera_positions(*stacked, held_out, choice), folder / "cameras.png")

# %%
near, far = stacked.depth_ranges.T
assert ((near > 0) & (near < far)).all(), "every depth range must be 0 < near < far"

# %% [markdown]
# ## Do cameras and photographs agree?
#
# A feature of one view lies on its *epipolar line* in another, wherever on its ray the point is. Features are matched by their looks alone; if poses are inverted, axes turned or files out of order, they are several pixels off their lines.

# %%
errors = epipolar.epipolar_errors(scene_data, references)
print(errors)
assert errors.fit is not False, "cameras and photographs do not fit together: check the order of files and the poses"

# %% [markdown]
# ## Depth from the photographs
#
# Scenes without depth maps get estimated ones: a plane sweep over neighbouring views, and then only what other views confirm is kept. On a demo scene the truth is known, so the estimate can be judged. `prepare_depth` names scenes or data sets whose depth is to be estimated now and kept, so that no training waits for it.

# %%
kept = preparation.prepare_depths(split_list(parameters.prepare_depth), data_folder, device=str(device_used))
tables.or_text(kept, "Nothing was asked for in `prepare_depth`.")

# %%
chosen = preparation.matching_views(scene_data, references, parameters.depth_views)
estimates = dict(preparation.estimates(scene_data, chosen, data_folder, device=device_used))
masks = {name: scene_data.mask(name) for name in chosen}
truths = {name: depth for name in chosen if (depth := scene_data.depth(name)) is not None}
quality = preparation.depth_quality(estimates, truths, masks)
print(quality)

# %%
first = chosen[0]
title = f"{quality.kept:.0%} of the foreground is kept" + (
    f", with a median error of {quality.median_error:.1%}" if truths else "; the truth is not known"
)
figure = panels.depth_comparison(scene_data.image(first), estimates[first], truths.get(first), title)
show(figure, folder / "depth.png")

# %%
assert quality.kept > 0.2, "hardly any depth was confirmed: check cameras and depth ranges"
assert not truths or quality.median_error < 0.02, "estimated depth is off: check cameras"

# %% [markdown]
# Masks and depth laid over the photographs: outlines must follow the object's, and steps in depth the edges of what is in front.

# %%
depths = estimates | truths
looked_at = chosen[:: max(1, len(chosen) // 3)][:3]
figure = panels.overlays(
    *({name: part(name) for name in looked_at} for part in (scene_data.image, depths.get, masks.get))
)
show(figure, folder / "overlays.png")

# %% [markdown]
# One point, and where it can be in other views: on the line, at the number that is its depth. In an open notebook sliders move it; `point = "x, y"` fixes it.

# %%
viewers.epipolar_check(scene_data, chosen, parameters.point, depths, folder / "epipolar.png")

# %% [markdown]
# ## Do cameras, depth and colours agree?
#
# Every pixel of one view is looked up in its nearest neighbour, through its depth and both cameras. Where both see the same surface, the colours must agree far better than those of the two photographs as they are, or within 0.03 where these hardly differ.

# %%
here = chosen[len(chosen) // 2]
(there,) = preparation.nearest_views(scene_data, here, chosen)
carried = preparation.carry_colours(scene_data, here, there, depths)
figure = panels.carried_over(scene_data.image(here), scene_data.image(there), *carried)
show(figure, folder / "carried_over.png")

# %%
through, unmoved = preparation.colour_differences(scene_data, here, there, carried)
print(
    f"{carried.visible.mean():.0%} of the pixels seen by both; RGB differs by {through:.3f}, as it is by {unmoved:.3f}"
)
assert through < max(0.6 * unmoved, 0.03), "cameras, depth and photographs do not fit together"

# %% [markdown]
# ## For the record

# %%
from maskrf_core.workbook import reports

records.record(
    folder,
    parameters,
    {
        "data_sets": {report.data_set: report.state for report in found},
        "demo_scenes": len(sheet),
        "scene": scene_data.name,
        "views": len(scene_data.image_ids),
        "epipolar_median_px": errors.median if errors.are_enough else None,
        "epipolar_matches": errors.matches,
        "depth_kept": quality.kept,
        "depth_median_error": quality.median_error if truths else None,
        "colour_difference_carried": through,
        "colour_difference_as_is": unmoved,
    },
)
print("numbers in", display_path(folder / "results.json"))
reports.keep_this_notebook(folder, parameters.runs, name="01_data_prep")
