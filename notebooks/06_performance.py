# %% [markdown]
# # 6 · Performance
#
# **Question.** How fast is it, how much memory does it hold, and how does its cost grow?
#
# **Expect.** What `make bench` left in `runs/benchmarks`: each computation beside a straightforward version of itself, measured in turn in one process (memory: in a process each), as ratios with their smallest and largest; the speed beside that of a large matrix product, which is the ceiling; and how cost grows with rays, views, samples and pixels, where an exponent of 1 is growth in proportion. Where nobody has measured, a small measurement is made here, in less than a minute, and called so.

# %% tags=["parameters"]
preset = "demo"  # sizes of a small measurement: demo or paper
data_root = "data"  # not used here: the demo scenes come with the package
runs_root = "runs"  # folder of the run folders, relative to the checkout
measurements = None  # folder of what `make bench` left; None: runs/benchmarks, or a small measurement
repeats = 5  # of each case of a small measurement
seed = 0  # not used here: the weights' numbers change no timing
device = "auto"  # of a small measurement: auto, cpu or cuda
overrides = ""  # any other settings by section, name and value, separated by commas: see the README

# %%
from maskrf_core.workbook.parameters import PerformanceParameters, check_parameters

parameters = check_parameters(PerformanceParameters, globals())

# %%
from maskrf_core.support.paths import display_path
from maskrf_core.workbook import reports
from maskrf_core.workbook.experiments import performance
from maskrf_core.workbook.experiments import recorded_results as records
from maskrf_core.workbook.figures import plots, show

folder = parameters.run_folder("06_performance")
measured = performance.measurements_of(parameters)
performance.comparisons_table(measured)

# %% [markdown]
# A ratio is how many times as much the straightforward version takes (of adaptive rendering: the exact mode; on a GPU: plain eager float32); medians, with the smallest and largest in brackets. Operations are those of matrix products and convolutions alone, counted on the straightforward version where there is one: what a faster version leaves out counts as done.

# %%
ratios = performance.parts(measured, "comparisons")
show(plots.ratio_bars(ratios), folder / "ratios.png")

# %%
reached = performance.fractions(measured)
assert reached.between(0, 1).all(), "faster than a matrix product: something else ran meanwhile; measure again"
show(plots.ceiling_bars(performance.parts(measured, "arithmetic")), folder / "ceiling.png")

# %%
exponents = performance.exponents(measured)
assert not (exponents > 2).any(axis=None), "cost grows faster than the square of something"
show(plots.growth_curves(performance.grown(measured)), folder / "growth.png")

# %%
records.record(folder, parameters, performance.plain(measured))
print("numbers in", display_path(folder / "results.json"))
reports.keep_this_notebook(folder, parameters.runs, name="06_performance")
