# %% [markdown]
# # 5 · Evaluation on test scenes
#
# **Question.** How well does each method render views of scenes that it has never seen?
#
# **Expect.** A table of PSNR and SSIM. The laziest method, copying the photograph of the nearest camera, is the one to
# beat; random weights show what the architecture gives without training; then the two trained runs of notebook 4, where they are
# done, by their last weights: at equal steps, learning rates and batches; and the weights that ship, `maskrf`, which were trained on
# made scenes for hours. Nothing is trained here.

# %% tags=["parameters"]
preset = "demo"  # sizes: demo (minutes on a CPU) or paper (a GPU node)
data_root = "data"  # folder that holds the data sets; the demo scenes need none
runs_root = "runs"  # folder of the run folders, relative to the checkout
checkpoint = None  # run folder or checkpoint to evaluate; None: the weights that ship, and the runs of 04 that are done
scene = None  # test scenes, separated by commas, such as "nerf_llff/fern/8"; None: the preset's
working_views = None  # reference views of a query; None: the preset's
views_per_scene = None  # test views of each scene; None: the preset's
path = None  # camera path: auto, spiral, circle, interpolate, orbit, or none; None: the preset's
path_frames = None  # pictures of that path; None: the preset's
seed = 0  # of weights, data order, rays and masks
device = "auto"  # auto, cpu or cuda
overrides = ""  # any other settings by section, name and value, separated by commas: see the README

# %% [markdown]
# Every parameter is checked before anything slow is imported: a name that does not exist, a wrong type or a value out of range stops here. `overrides` takes any other setting, such as `data.rays=256, model.fine_samples=16`.

# %%
from maskrf_core.workbook.parameters import EvaluateParameters, check_parameters

parameters = check_parameters(EvaluateParameters, globals())

# %%
from maskrf_core.support.paths import display_path
from maskrf_core.training.saved_states import steps_done
from maskrf_core.workbook import viewers
from maskrf_core.workbook.experiments import comparison, ray_inspection, tables
from maskrf_core.workbook.experiments import recorded_results as records
from maskrf_core.workbook.experiments.compared_pictures import compared_views
from maskrf_core.workbook.figures import moving_pictures, panels, plots, show

folder = parameters.run_folder("05_evaluate")
config = parameters.config("finetune")
print("scenes:", ", ".join(config.evaluation.test_scenes), "· results go to", display_path(folder))

# %% [markdown]
# ## The methods

# %%
methods = comparison.methods_to_compare(parameters)
unfinished = [m.name for m in methods if m.run and steps_done(m.run) < m.run.config.training.steps]
assert not unfinished, "not trained to the end"
print("\n".join(method.name for method in methods))

# %%
for name, seen in comparison.seen_in_training(methods, config.evaluation.test_scenes).items():
    print(f"note: {name} was trained or selected on {', '.join(seen)}: not a new scene to it")

# %% [markdown]
# ## The numbers
#
# Every test view is rendered from its nearest reference views, and the metrics are averaged over the views. LPIPS needs weights that are not part of the packages; without them it says so.

# %%
table = comparison.compare(methods, config, folder / "pictures")

# %%
summary = tables.summary_of(table)
print(tables.lpips_note())
tables.formatted(summary)

# %%
show(plots.method_bars(summary), folder / "methods.png")

# %%
views = table.groupby("method")[["scene", "image_id"]].apply(lambda rows: sorted(map(tuple, rows.to_numpy())))
assert all(rendered == views.iloc[0] for rendered in views), "methods were judged on different views"
assert summary["psnr"].gt(0).all()

# %% [markdown]
# ## The pictures
#
# One test view, every method that renders: truth, render, error and depth.

# %%
view = table.iloc[0]
rows = {
    name: panels.read_pictures(folder / "pictures" / comparison.folder_name(name), view["scene"], view["image_id"])
    for name in summary.index[1:]
}
title = f"{view['scene']} {view['image_id']}: how sharp, and where the errors are"
show(panels.render_rows(rows, title), folder / "renders.png")

# %% [markdown]
# Any view, any two methods: choose what stands left and right, and drag the line across the pictures. Both sides share one scale of the error and one of the depth; the true depth stands where it is known.

# %%
renders = compared_views(table, summary.index[1:], folder / "pictures", config.data.data_root)
moving_pictures.compare(renders)

# %% [markdown]
# ## One pixel
#
# Which photographs made it, how much each, and where along its ray: click another one. Maps of one scene cannot be looked at so.

# %%
of_views = {
    method.name: method.renderer for method in methods if method.renderer and not method.renderer.settings.free_maps
}
if of_views:
    inspection = ray_inspection.inspection_of(config, of_views, config.evaluation.test_scenes[0])
    display(viewers.inspect_rays(inspection, folder / "ray.png", mask_ratio=0.0))

# %% [markdown]
# Averages hide scenes: the same numbers by scene.

# %%
by_scene = table.pivot_table(index="method", columns="scene", values="fine_psnr", sort=False).round(2)
by_scene

# %% [markdown]
# ## A camera path
#
# No photograph was taken from these cameras. The last method renders each of them from the views nearest to it: flicker shows where the choice of views changes, and depth (near: bright) shows whether the shape is right or only the colours. Only the first test scene is filmed; its videos lie beside the frames, in the folder of the results.

# %%
filmed = comparison.film(methods, config, folder)
assert filmed is None or len(filmed.cameras) == config.evaluation.path.frames

# %%
comparison.strip(filmed, folder / "path.png")

# %%
comparison.scrubber(filmed, config.evaluation.path.frames_per_second)

# %% [markdown]
# ## For the record

# %%
from maskrf_core.workbook import reports

records.record(folder, parameters, {"views": len(views.iloc[0]), "methods": tables.plain(summary)})
print("numbers in", display_path(folder / "results.json"))
reports.keep_this_notebook(folder, parameters.runs, name="05_evaluate")
