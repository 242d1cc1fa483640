# %% [markdown]
# # 2 · How much should be masked?
#
# **Question.** Does pretraining with masked features help after finetuning, at which mask ratio, and masked how?
#
# **Expect.** What each mask ratio gains over none in validation PSNR, seed by seed, with 95 % intervals where there are several seeds. Ratio 0 is
# training without masks for as many steps, so what is compared is masking and not longer training. Both stages of a point
# have one schedule of the learning rate, counted from its first step, and one optimiser; all points draw the same batches. At demo size the runs are
# far too short, and one seed too few, for a verdict: the published pretraining had 400,000 steps. What is run is the same.

# %% tags=["parameters"]
preset = "demo"  # sizes: demo (minutes on a CPU) or paper (a GPU node)
data_root = "data"  # folder that holds the data sets; the demo scenes need none
runs_root = "runs"  # folder of the run folders, relative to the checkout
mask_ratios = "0, 0.5, 0.75"  # ratios to compare, separated by commas; 0 is no masking
strategies = "ray_and_view"  # what is masked, separated by commas: names (here the paper's) or module:function
seeds = "0"  # repetitions of each point, separated by commas; from 2 on there are intervals
vary = ""  # other settings with lists of values, of which every combination is trained: see below
pretrain_steps = None  # optimiser steps with masks; None: a quarter of the preset's
finetune_steps = None  # optimiser steps after them; None: a quarter of the preset's
working_views = None  # reference views of a query; None: the preset's
train_scenes = None  # scenes to train on, separated by commas; None: the preset's
validation_scenes = None  # scenes to judge the ratios by, never test scenes; None: the preset's
processes = 1  # trainings at a time on this computer
launcher = "here"  # here, or slurm: a job for each point
slurm = ""  # what a job needs, such as partition and timeout_min: see below
devices = None  # training processes on a node, one a GPU; None: 1
num_nodes = None  # nodes that train one point together, on Slurm; None: 1
seed = 0  # of weights, data order, rays and masks
device = "auto"  # auto, cpu or cuda
overrides = ""  # any other settings by section, name and value, separated by commas: see the README

# %% [markdown]
# Every parameter is checked before anything slow is imported: a name that does not exist, a wrong type or a value out of range stops here. `overrides` takes any other setting, such as `data.rays=256, model.fine_samples=16`; `vary` takes lists of their values, such as `data.rays=[64, 128], training.learning_rate=[1e-3, 5e-4]`; `slurm` what a job needs, such as `partition=gpu, gpus_per_node=1, timeout_min=120`.

# %%
from maskrf_core.workbook.parameters import AblationParameters, check_parameters

parameters = check_parameters(AblationParameters, globals())

# %%
from maskrf_core.rendering.evaluation import load
from maskrf_core.support.paths import display_path
from maskrf_core.workbook import viewers
from maskrf_core.workbook.experiments import comparison, grid, table_of_runs
from maskrf_core.workbook.experiments import grid_statistics as statistics
from maskrf_core.workbook.experiments import recorded_results as records
from maskrf_core.workbook.experiments.dashboard import dashboard
from maskrf_core.workbook.experiments.grid_training import GridTraining
from maskrf_core.workbook.experiments.mask_demonstration import has_its_share, masks_of_strategies
from maskrf_core.workbook.experiments.ray_inspection import inspection_of
from maskrf_core.workbook.experiments.study import differences, results
from maskrf_core.workbook.experiments.study.rows import read_rows
from maskrf_core.workbook.figures import panels, plots, show
from maskrf_core.workbook.figures.paired_differences import difference_curves

folder = parameters.run_folder("02_mask_ratio_ablation")
print("results go to", display_path(folder))

# %% [markdown]
# ## What is masked
#
# One ray, masked at the largest ratio by each strategy. Rows are reference views, columns the samples of the fine pass from near to far. The grid below uses those of the parameter `strategies`.

# %%
rays = masks_of_strategies(parameters.config("pretrain", {"masking.mask_ratio": max(parameters.ratios)}))
show(panels.masks_beside_each_other({name: ray.mask for name, ray in rays.items()}), folder / "masks.png")

# %%
assert all(has_its_share(ray, name) for name, ray in rays.items())

# %% [markdown]
# ## The grid
#
# Every combination of ratio, strategy, seed and what `vary` lists is a point: a run folder of pretraining and one of finetuning. Ratio 0 masks nothing, so all strategies share it. What is finished is not trained again, and what was begun goes on. In an open notebook, the dashboard follows the points by itself, also in a tab that is opened again (run its cell again), and can stop them; the cell below trains in the background, and other cells can be run meanwhile.

# %%
points = grid.plan(parameters)
pretrain, finetune = grid.grid_steps(parameters)
print(f"{len(points)} points, {pretrain} + {finetune} steps each")
dashboard(points)

# %%
training = GridTraining(points, parameters)

# %% [markdown]
# The next cell waits for the grid. Is every point there and whole, did each run use the ratio it is compared for, and do all of them have the same number of steps?

# %%
training.wait()
assert all(point.is_finished() for point in points)
assert {point.pretrained.config.masking.mask_ratio for point in points} == set(parameters.ratios)
assert {point.seed for point in points} == set(parameters.seed_list)
assert len({point.steps for point in points}) == 1, "unequal steps cannot be compared"

# %% [markdown]
# Only runs with masks have a loss of what masked features predict. The alignment of features lies between 0 (predicted exactly) and 4 (opposed); a squared colour error (`masking.target=colour`) is below that, or nothing was learned.

# %%
for point in points:
    masking = point.pretrained.config.masking
    terms = point.pretrained.metrics().filter(["feature_alignment", "masked_colour"])
    predicted = terms.stack().dropna()
    assert predicted.between(0, 4).all()
    assert predicted.empty == (not masking.masks)

# %% [markdown]
# ## The comparison
#
# PSNR of the finetuned runs on the validation scenes, as they stood at the last step. Test scenes are not looked at: they may not choose a ratio. Means are over seeds, ± half the 95 % interval of Student's t; `against no mask` is the mean of the differences to the unmasked run of the same seed and settings; in the figure, a dot is one validation scene of one seed. Every interval stands for one comparison: among many, one in twenty excludes 0 by chance. Time, memory and energy are those of one point.

# %%
scores = grid.scores(points)
summary = statistics.summary(scores)
statistics.formatted(summary)

# %%
gained = statistics.differences_by_scene(scores)
show(difference_curves(gained, summary, statistics.finding(summary)), folder / "ratio_curve.png")

# %%
curves = {point.name: (point.finetuned.metrics(), pretrain) for point in points}
show(plots.colour_curves(curves), folder / "colour_loss.png")

# %% [markdown]
# ## Masked, unmasked, truth
#
# What each pretraining makes of a picture from which more and more is hidden: a small validation view of the first seed, before finetuning. Weights that were trained without masks have never seen the mask token.

# %%
pretrained = {point.name: load(point.pretrained) for point in points if point.seed == points[0].seed}
config = points[0].configs[0]
renderers = {"untrained": comparison.untrained_like(load(points[0].pretrained), config)} | pretrained
inspection = inspection_of(config, renderers, config.data.validation_scenes[0], "validation")
strategy = parameters.strategy_list[0]
viewers.masked_unmasked_truth(inspection, list(renderers), folder / "masked.png", strategy=strategy)

# %% [markdown]
# ## The study
#
# The grid above is small. `make study` asks the same of more seeds, scenes and settings, by a [plan](../docs/study.md) that was written before; each training adds a row to `docs/study/rows.csv`, whoever runs it. Here is what the rows say so far: the difference in PSNR, with 8 working views and for the same seed and scene, of each ratio to training without masks, then of all comparisons, in which other settings are held against ratio 0.5. A dot is a seed; tables are on [the page of results](../docs/study-results.md).

# %%
study = differences.compared(read_rows(results.TABLE))
for question, part in study.groupby("question", sort=False):
    print(f"{question}: {results.finding(part)}")
show(results.ratio_curve(study), folder / "study_ratios.png")

# %%
show(results.forest(study), folder / "study_forest.png")

# %% [markdown]
# ## The runs
#
# What the run folders say of themselves, with the settings in which they differ. `where` and `sort` take any column or setting, and `runs.diff(a, b)` lists all that two runs differ in. In an open notebook, columns sort and filter the table, and two rows that are clicked are compared below it.

# %%
table_of_runs.compare(points[0].folder.parent, where={"stage": "finetune"}, sort="-fine_psnr")

# %% [markdown]
# ## For the record

# %%
from maskrf_core.workbook import reports

assert scores["psnr"].gt(5).all(), "worse than a grey picture: look at the runs"
numbers = {name: statistics.plain(table) for name, table in (("scores", scores), ("summary", summary))}
records.record(folder, parameters, {"steps": [pretrain, finetune], **numbers})
print("numbers in", display_path(folder / "results.json"))

reports.keep_this_notebook(folder, parameters.runs, name="02_mask_ratio_ablation")
