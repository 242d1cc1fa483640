# %% [markdown]
# # 3 · Masked pretraining
#
# **Question.** What is masked, what is predicted, and does the renderer learn while features are hidden from it?
#
# **Expect.** On every ray a share `mask_ratio` of the fine samples is masked in one or more of the reference views, and
# the network predicts what the unmasked coarse pass makes of them. Colour and depth losses fall from the first steps;
# the alignment loss counts after a short start, a share of the steps that is the published one. Prediction and target come
# to agree, more than with the target of another ray. At demo size this takes a few minutes on two CPU cores and leaves a
# blurry but recognisable picture.

# %% tags=["parameters"]
preset = "demo"  # sizes: demo (minutes on a CPU) or paper (a GPU node)
data_root = "data"  # folder that holds the data sets; the demo scenes need none
runs_root = "runs"  # folder of the run folders, relative to the checkout
mask_ratio = 0.5  # share of the fine samples on a ray that are masked, 0 ≤ ratio < 1
pretrained = None  # to go on from: run folder, checkpoint, or "maskrf-pretrained", which ships; None: random weights
steps = None  # optimiser steps; None: the preset's
working_views = None  # reference views of a query; None: the preset's
train_scenes = None  # scenes to train on, separated by commas; None: the preset's
validation_scenes = None  # scenes to validate on, separated by commas; None: the preset's
run = None  # run folder below runs_root; None: named by what differs from the defaults
seed = 0  # of weights, data order, rays and masks
device = "auto"  # auto, cpu or cuda
devices = None  # training processes on a node, one a GPU; None: 1
num_nodes = None  # nodes that train together; None: 1
overrides = ""  # any other settings by section, name and value, separated by commas: see the README

# %% [markdown]
# Every parameter is checked before anything slow is imported: a name that does not exist, a wrong type or a value out of range stops here. `overrides` takes any other setting, such as `data.rays=256, model.fine_samples=16`.

# %%
from maskrf_core.workbook.parameters import PretrainParameters, check_parameters

parameters = check_parameters(PretrainParameters, globals())

# %%
from maskrf_core.rendering.evaluation import load
from maskrf_core.support.paths import display_path
from maskrf_core.training.saved_states import steps_before
from maskrf_core.training.schedules import masking_schedule
from maskrf_core.workbook import viewers
from maskrf_core.workbook.experiments import comparison, tables, trainings
from maskrf_core.workbook.experiments.following import train, wait_for
from maskrf_core.workbook.experiments.mask_demonstration import has_its_share, mask_of_one_ray
from maskrf_core.workbook.experiments.ray_inspection import inspection_of
from maskrf_core.workbook.figures import panels, plots, show

# %% [markdown]
# ## The run
#
# A run is a folder. Its `config.yaml` says everything that the training depends on; starting the same run again continues it.

# %%
pretraining = trainings.pretraining(parameters)
config = pretraining.config
print("run folder:", display_path(pretraining.folder))

# %%
tables.settings_shown(
    config,
    [*(f"masking.{name}" for name in ("mask_ratio", "weight", "start", "warmup", "target_memory")), "training.steps"],
)

# %% [markdown]
# ## The mask on one ray
#
# Rows are reference views, columns the samples of the fine pass from near to far. Dark means masked: there the view's feature is replaced by a learned token.

# %%
ray = mask_of_one_ray(config)
show(panels.mask_on_ray(ray.mask, ray.depths), pretraining.folder / "figures" / "mask_on_ray.png")

# %%
assert has_its_share(ray, config.masking.strategy)
assert len(ray.mask) == config.data.working_views

# %% [markdown]
# ## Training
#
# A process of its own trains, and outlives this tab and this kernel: the cell returns at once and shows how it goes. Come back at any time and run it again. Interrupting a later cell, which waits for it, does not stop it; the button does.

# %%
train(pretraining)

# %%
wait_for(pretraining)
metrics = pretraining.metrics()
schedule = masking_schedule(config)
alignment_from = schedule.start if config.masking.masks else None
show(plots.loss_curves(metrics, alignment_from), pretraining.folder / "figures" / "losses.png")

# %%
totals = metrics[metrics["phase"] == "train"]["total"]
assert metrics["step"].max() == config.training.steps, "the run stopped early"
few = config.training.steps < 100  # what their last batch shows is chance
assert few or len(totals) == 1 or totals.iloc[-1] < totals.iloc[0], "nothing was learned"

# %% [markdown]
# ### Does the prediction meet its target?
#
# The masked fine features predict the unmasked coarse ones, in the projection of a target that follows. Only where they agree with the target of their own ray more than with that of another one is something of the scene predicted.

# %%
aligned = config.masking.masks and config.masking.target == "scene_feature"
share = schedule.decay ** max(0, config.training.steps - schedule.start)
print(f"the target keeps {schedule.decay:.4f} of itself in a step; {share:.1%} of its beginning is left")
agreement = plots.agreement_curves(metrics, schedule.start) if aligned else None
agreement and show(agreement, pretraining.folder / "figures" / "agreement.png")

# %% [markdown]
# ## Does it render?
#
# Views of validation scenes, which it was not trained on; nothing is masked when rendering. The same network with random weights stands beside it.

# %%
pictures = pretraining.renders / "validation"
trained = comparison.scores(pretraining, config, "validation", pictures=pictures)
renderers = {"untrained": comparison.untrained_like(load(pretraining), config), "pretrained": load(pretraining)}
untrained = comparison.scores(renderers["untrained"], config, "validation")
before, after = untrained["fine_psnr"].mean(), trained["fine_psnr"].mean()
print(f"PSNR on {len(trained)} validation views: {before:.2f} dB untrained, {after:.2f} dB pretrained")

# %%
rows = {
    f"{view.scene}\n{view.image_id}": panels.read_pictures(pictures, view.scene, view.image_id)
    for view in trained.iloc[:3].itertuples()
}
steps_in_all = steps_before(config) + config.training.steps
title = f"Pretrained for {steps_in_all} steps: {after:.2f} dB, untrained {before:.2f} dB"
show(panels.render_rows(rows, title), pretraining.folder / "figures" / "renders.png")

# %%
assert few or after > before, "pretraining made the renderer worse than random weights"

# %% [markdown]
# ### Any pixel, any mask
#
# Click a pixel of the first validation view in an open notebook: which photographs made it, and what a mask hides and changes there. The [method](00_method.ipynb), step by step, says what is drawn.

# %%
masking = {"mask_ratio": config.masking.mask_ratio, "strategy": config.masking.strategy}
inspection = inspection_of(config, renderers, config.data.validation_scenes[0], "validation")
viewers.inspect_rays(inspection, pretraining.folder / "figures" / "ray.png", **masking)

# %% [markdown]
# The same view, small, with more and more of its fine samples masked.

# %%
masked = pretraining.folder / "figures" / "masked.png"
viewers.masked_unmasked_truth(inspection, list(renderers), masked, strategy=config.masking.strategy)

# %% [markdown]
# ## For the record

# %%
from maskrf_core.workbook import reports

numbers = {"steps": config.training.steps, "views": len(trained), "psnr_untrained": before}
numbers |= {name: trained[f"fine_{name}"].mean() for name in ("psnr", "ssim")}
pretraining.record("03_pretrain", numbers)
print("numbers in", display_path(pretraining.folder / "results.json"))
reports.keep_this_notebook(pretraining.folder, parameters.runs, name="03_pretrain")
