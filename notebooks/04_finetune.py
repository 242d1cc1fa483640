# %% [markdown]
# # 4 · Finetuning without masks
#
# **Question.** What does masked pretraining give to the renderer that is finetuned from it, across scenes or on one?
#
# **Expect.** `setting = "cross_scene"`: two runs of the same total number of steps, one pretrained with masks and then
# finetuned without, the other trained without masks from random weights. Both validate on the same scenes, by their last
# weights; in both, the learning rate depends on the steps since the beginning of the experiment, and the optimiser goes on
# where pretraining ended. So the same batches are drawn from the moment where their step counts meet, and masking is all
# that differs. `from_scratch_too = False` finetunes as published: a fresh optimiser, the full rate again. A few hundred steps are far too few, and one seed is not enough, to say which is better: the published runs had 400,000 steps each.
#
# `setting = "per_scene"`: training goes on with the photographs of one `scene` alone, and its visibility becomes a
# learnable map of each photograph. The scene's test views are rendered better as it learns. They are looked at, nothing
# is chosen by them: the last weights count.

# %% tags=["parameters"]
preset = "demo"  # sizes: demo (minutes on a CPU) or paper (a GPU node)
data_root = "data"  # folder that holds the data sets; the demo scenes need none
runs_root = "runs"  # folder of the run folders, relative to the checkout
setting = "cross_scene"  # cross_scene: on many scenes; per_scene: on one
scene = None  # the scene of per_scene, such as "nerf_llff/fern/8"; None: the preset's
pretrained = None  # to start from: run folder, checkpoint, "maskrf-pretrained"; None: the run of 03 (per_scene: 04)
steps = None  # optimiser steps of finetuning; None: the preset's
working_views = None  # reference views of a query; None: the preset's
train_scenes = None  # of cross_scene: scenes to train on, separated by commas; None: the preset's
validation_scenes = None  # of cross_scene: scenes to validate on, separated by commas; None: the preset's
from_scratch_too = True  # of cross_scene: train from random weights for as many steps in all, to compare with
run = None  # run folder below runs_root; None: named by what differs from the defaults
seed = 0  # of weights, data order, rays and masks
device = "auto"  # auto, cpu or cuda
devices = None  # training processes on a node, one a GPU; None: 1
num_nodes = None  # nodes that train together; None: 1
overrides = ""  # any other settings by section, name and value, separated by commas: see the README

# %% [markdown]
# Every parameter is checked before anything slow is imported: a name that does not exist, a wrong type or a value out of range stops here. `overrides` takes any other setting, such as `data.rays=256, model.fine_samples=16`.

# %%
from maskrf_core.workbook.parameters import FinetuneParameters, check_parameters

parameters = check_parameters(FinetuneParameters, globals())

# %%
from maskrf_core.support.paths import display_path
from maskrf_core.workbook.experiments import tables, trainings
from maskrf_core.workbook.experiments.comparison import scores
from maskrf_core.workbook.experiments.following import train
from maskrf_core.workbook.figures import panels, show

# %% [markdown]
# ## The weights to start from
#
# Across scenes, the last checkpoint of the masked pretraining; on one scene, the finetuned weights across scenes. If that
# run does not exist yet, it is trained now. `pretrained = "maskrf-pretrained"` (on one scene `"maskrf"`) starts from weights
# that ship, which were trained for hours; then the comparison has the steps of this notebook alone.

# %%
chosen = trainings.Finetuning(parameters)
config = chosen.run.config
print("from", display_path(chosen.weights), "to", display_path(chosen.run.folder))

# %%
training = [f"training.{name}" for name in ("steps", "learning_rate", "schedule", "optimiser")]
tables.settings_shown(config, ["masking.mask_ratio", *training, "data.working_views"])

# %%
assert config.masking.mask_ratio == 0, "finetuning masks nothing"
total = trainings.total_steps(chosen.run)
print(f"{total - config.training.steps} steps before, {config.training.steps} steps now")

# %% [markdown]
# ## Training
#
# A process of its own trains, and outlives this tab and this kernel: the cell returns at once and shows how it goes. Come back at any time and run it again. The next cell waits for it; interrupting that does not stop it, the button does.

# %%
train(chosen.run)

# %% [markdown]
# The comparison: across scenes, the same config from random weights, for as many steps in all; on one scene, the weights
# that it began from.

# %%
compared = chosen.compared()
print("compared:", "; ".join(compared))

# %%
show(chosen.psnr_curve(), chosen.run.folder / "figures" / f"{chosen.split}.png")

# %%
show(chosen.loss_curve(), chosen.run.folder / "figures" / "losses.png")

# %%
runs = chosen.runs.values()
assert len({trainings.total_steps(each) for each in runs}) == 1, "unequal steps cannot be compared"
rates = {each.metrics().query("phase == 'train'")["learning_rate"].iloc[-1] for each in runs}
assert len(rates) == 1 or chosen.on_one_scene, "they end at unequal learning rates"
assert all(each.metrics()["step"].max() == each.config.training.steps for each in runs), "a run stopped early"

# %% [markdown]
# ## Renders
#
# The same view by each, with the weights that count, the last ones. Across scenes it is a validation view, on
# one scene a test view of it.

# %%
tables_of = {
    name: scores(source, config, chosen.split, pictures=pictures) for name, (source, pictures) in compared.items()
}
view = next(iter(tables_of.values())).iloc[0]
rows = {name: panels.read_pictures(path, view["scene"], view["image_id"]) for name, (_, path) in compared.items()}

# %%
means = {name: table["fine_psnr"].mean() for name, table in tables_of.items()}
title = "; ".join(f"{name}: {value:.2f} dB" for name, value in means.items())
show(panels.render_rows(rows, title), chosen.run.folder / "figures" / "renders.png")

# %%
assert all(value > 5 for value in means.values()), "worse than a grey picture: look at the runs"

# %% [markdown]
# ## For the record

# %%
from maskrf_core.workbook import reports

chosen.record(tables_of)
print("numbers in", ", ".join(display_path(each.folder / "results.json") for each in runs))
reports.keep_this_notebook(chosen.run.folder, parameters.runs, name="04_finetune")
