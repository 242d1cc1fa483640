# %% [markdown]
# # 0 · The method, one pixel at a time
#
# **Question.** How does the renderer make a pixel from photographs, what does a mask hide from it, and what must it predict?
#
# **Expect.** Ten minutes of reading; nothing has to be trained before. One scene becomes tensors, one pixel of it a ray, the ray samples, and these are followed to the colour, to the mask and to the losses, each computed by hand and by the package, and equal. Then twenty training steps in a loop that you can change. At the end, two pictures to move: click any pixel, and mask more and more. Shapes are written `[view ray sample channel]`.

# %% tags=["parameters"]
preset = "demo"  # sizes: demo (minutes on a CPU) or paper (a GPU node)
data_root = "data"  # folder that holds the data sets; the demo scenes need none
runs_root = "runs"  # folder of the run folders, relative to the checkout
scene = "demo/test_00"  # the scene whose pixel is followed
point = None  # "x, y" in pixels of the query; None: a strong corner
mask_ratio = 0.5  # share of the fine samples on a ray that are masked, 0 < ratio < 1
steps = 20  # training steps of the loop
seed = 0  # of weights, data order, rays and masks
device = "auto"  # not used here: it is all small enough for a CPU
overrides = ""  # any other settings by section, name and value, separated by commas: see the README

# %% [markdown]
# Every parameter is checked before anything slow is imported: a name that does not exist, a wrong type or a value out of range stops here. `overrides` takes any other setting, such as `data.rays=256, model.fine_samples=16`.

# %%
from maskrf_core.workbook.parameters import MethodParameters, check_parameters

parameters = check_parameters(MethodParameters, globals())

# %%
import numpy as np
import pandas as pd
import torch

from maskrf_core import losses
from maskrf_core.support.paths import cache_folder, display_path
from maskrf_core.support.progress import tracked
from maskrf_core.workbook import viewers
from maskrf_core.workbook.experiments import comparison, epipolar_geometry, ray_inspection
from maskrf_core.workbook.experiments import recorded_results as records
from maskrf_core.workbook.figures import plots, ray_pictures, show

config, folder = parameters.config("pretrain"), parameters.run_folder("00_method")
_ = torch.set_grad_enabled(False)  # until something is trained
print("results go to", display_path(folder))

# %% [markdown]
# ## A scene becomes a batch
#
# A *query view* is rendered from its nearest *reference views*. All that the model sees are the references' images, cameras, depth ranges and (input) depth maps; the query gives its camera and, in training, the true colours. `K` maps camera coordinates to pixels, `w2c` is `[R|t]` from world to camera.

# %%
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import open_scenes

(opened,) = open_scenes([parameters.scene], config.data.data_root, None, view_choice=config.data.view_choice)
references, queries = opened.scene.split("test")
batch = evaluation_batch(opened, queries[0], references, config.data.working_views)

# %%
for name, part in {"query": batch.query, "references": batch.references}.items():
    print(name, {field: list(value.shape) for field, value in vars(part).items() if value is not None})
print("pixels_xy", list(batch.pixels_xy.shape))

# %% [markdown]
# ## Photographs become feature maps
#
# Once for all rays. *Image features* say how a place looks; *ray features* say where along its own ray each pixel of a reference view meets the surface. Both have a quarter of the image's resolution.

# %%
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.checkpoints.published_files import SHIPPED

renderer = load_renderer(SHIPPED["maskrf-pretrained"])  # pretrained with masks; comes with the package
features = renderer.encode(batch.references)
print("image features", list(features.image_features.shape), "ray features", list(features.ray_features.shape))

# %% [markdown]
# ## A pixel becomes a ray, and the ray samples
#
# The point at depth z is `origin + z · direction`. The *coarse pass* looks at depths that are uniform in inverse depth; where it hits something, new ones are drawn. The *fine pass* renders both, in order.

# %%
from maskrf_core.model.gathering import query_colours, query_rays, rays_of
from maskrf_core.model.sampling import draw_fine_depths, merge_depths

x, y = epipolar_geometry.point_of(parameters.point, opened.scene, queries[0])
rays = rays_of(batch.query, torch.tensor([[x, y]]))
coarse, coarse_points = renderer.render_coarse(features, rays)
new = draw_fine_depths(coarse.sample_depths, coarse.hit_probability, rays.depth_range, renderer.settings.fine_samples)
samples, coarse_positions = merge_depths(coarse.sample_depths, new, rays.depth_range)

# %%
near, far = rays.depth_range.tolist()
print(f"pixel ({x:.0f}, {y:.0f}): depths {near:.2f} to {far:.2f}, coarse {list(coarse.sample_depths.shape)}")
print("new", list(new.shape), "merged", list(samples.depths.shape), "[ray sample]")
assert (samples.depths.diff(dim=1) >= 0).all()
assert torch.equal(samples.depths.gather(1, coarse_positions), coarse.sample_depths)

# %% [markdown]
# ## The views look at the samples
#
# Every sample is projected into every reference view, where features and colours are looked up. From the ray features there, a distribution of the surface along that view's own ray is decoded: the view's *hit probability* is the probability that the surface is within the sample's interval, its *visibility* that nothing stands before it. A view that sees the point well has its highest hit probability (red) where the surface is.

# %%
views, visibility = renderer.fine.look(features, rays, samples)
for name, part in {**views._asdict(), **visibility._asdict()}.items():
    print(name, list(part.shape))

# %%
in_views = ray_inspection.projections(batch.references, rays, samples.depths)
figure = ray_pictures.samples_in_views(batch, (x, y), in_views[:, 0], visibility.hit_probability[:, 0])
show(figure, folder / "samples.png")

# %% [markdown]
# ## Samples become a colour
#
# The aggregation network makes of each sample, from all views, a 16-channel *scene feature*; the samples of the ray attend to each other; and density and colour come out. `alpha` is what a sample stops of the light that reaches it. The *rendered hit probability* is alpha times what all samples before it let pass, and the pixel's colour is the mean of the samples' colours by it.

# %%
aggregated = renderer.fine.aggregation(views, visibility, samples, mask=None)
alpha = 1 - torch.exp(-aggregated.density)
passes = torch.cat([torch.ones(1, 1), (1 - alpha + 1e-10).cumprod(dim=1)[:, :-1]], dim=1)
hits = alpha * passes
rgb = (hits[..., None] * aggregated.colours).sum(dim=1)
true = query_colours(batch.query, torch.tensor([[x, y]]))
print("scene features", list(aggregated.scene_features.shape), "density", list(aggregated.density.shape))
print("rendered", rgb[0].numpy().round(3), "true", true[0].numpy().round(3))

# %%
from maskrf_core.model.renderer import volume_render

rendered = volume_render(aggregated, samples.depths, coarse.ray_mask)
whole = renderer(batch.replace(pixels_xy=torch.tensor([[x, y]])), mask_ratio=0.0)
assert torch.allclose(rgb, rendered.rgb, atol=1e-5)
assert torch.allclose(rgb, whole.fine.rgb, atol=1e-4)  # the same pixel in one call
show(ray_pictures.along_ray(samples.depths[0], visibility.visibility[:, 0], hits[0]), folder / "along_ray.png")

# %% [markdown]
# ## What a mask hides
#
# In pretraining a share `mask_ratio` of the fine samples is chosen on each ray, and at each of them one or more views (strategy `ray_and_view`). There, image features and colour (35 channels) are replaced by a learned token before the aggregation. The visibility stays, and so do the colours that are blended: only what the network *thinks* of the place is hidden.

# %%
from maskrf_core.model.masking.strategies import draw_mask

generator = torch.Generator().manual_seed(parameters.seed)
shape = visibility.visibility.shape
mask = draw_mask(config.masking.strategy, *shape, config.masking.mask_ratio, generator=generator)
token = renderer.fine.aggregation.mask_token
print("mask", list(mask.shape), "[view ray sample], True where masked; the token:", list(token.shape))

# %% [markdown]
# ## What is predicted
#
# The target is made of the *unmasked coarse* scene features, by a projector that follows its twin by moving average and gets no gradient. The prediction is made of the *masked fine* scene features, by projector and predictor, at the samples that both passes have. Their distance is 2 − 2 cos: 0 where they point the same way, 2 where they have nothing to do with each other.

# %%
hidden = renderer.fine.aggregation(views, visibility, samples, mask=mask)
modelling = renderer.masked_modelling
predicted = modelling.predictor(modelling.projector(hidden.scene_features[0]))[coarse_positions[0]]
target = modelling.target_projector(coarse_points.scene_features[0])
cosine = (predicted * target).sum(dim=1) / (predicted.norm(dim=1) * target.norm(dim=1))
distances = 2 - 2 * cosine
print("prediction", list(predicted.shape), "target", list(target.shape), "distances", list(distances.shape))

# %%
masked = modelling(mask, hidden, coarse_points, coarse_positions)
assert torch.allclose(distances, losses.feature_distance(masked)[0], atol=1e-5)
masked_hits = volume_render(hidden, samples.depths, coarse.ray_mask).hit_probability[0]
along = (samples.depths[0], visibility.visibility[:, 0], hits[0], mask[:, 0], masked_hits)
show(ray_pictures.along_ray(*along, coarse_positions[0], distances), folder / "masked_ray.png")

# %% [markdown]
# ## The losses, by hand and by the package
#
# A training batch is one query of a training scene with random reference views and rays. The colour loss counts rays that enough views see (`ray_mask`); the depth loss holds what the ray features say of the surface to the true depth of the reference views; the alignment loss is the mean distance from above, over all rays.

# %%
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.training.preflight import training_inputs

mixture = Mixture(config.data, cache_folder(config.data.data_root), inputs=training_inputs(config))
draw = mixture.draw(np.random.default_rng(parameters.seed))
drawn, truth = draw.batch, query_colours(draw.batch.query, draw.batch.pixels_xy)
print(draw.origin, "· rays", list(drawn.pixels_xy.shape), "· true colours", list(truth.shape))

# %%
from maskrf_core.training.objective import depth_supervision, draw_depth_pixels

encoded = renderer.encode(drawn.references)
rendering = renderer.render_rays(encoded, query_rays(drawn), mask_ratio=parameters.mask_ratio, generator=generator)
pixels = draw_depth_pixels(drawn.references, config.data.depth_pixels, generator=generator)
passes = (renderer.coarse, renderer.fine)
depth = depth_supervision(*passes, encoded, pixels, unknown_is_near=True, where_agreed=True)

# %%
rendered_by = {"coarse": rendering.coarse, "fine": rendering.fine}
by_hand = {}
for name, result in rendered_by.items():
    error = (result.rgb - truth).square().sum(dim=1)
    by_hand[f"colour_{name}"] = (error * result.ray_mask).sum() / (result.ray_mask.sum() + 1e-3)
for name in rendered_by:
    error = (getattr(depth, name) - depth.target).square() * depth.counts
    by_hand[f"depth_{name}"] = (error.sum(dim=1) / (depth.counts.sum(dim=1) + 1e-4)).mean()
cosine = torch.cosine_similarity(rendering.masked.prediction, rendering.masked.target, dim=-1)
by_hand["feature_alignment"] = (2 - 2 * cosine).mean()

# %%
of_batch = losses.StepResult(rendering.coarse, rendering.fine, rendering.masked, truth, depth)
by_package = losses.raw_terms(of_batch)
table = pd.DataFrame({"by hand": by_hand, "by the package": {name: by_package[name] for name in by_hand}}).astype(float)
assert np.allclose(table["by hand"], table["by the package"], atol=1e-5)
table.round(5)

# %% [markdown]
# The total is their sum; the alignment loss is weighted by λ (`masking.weight`), which is 0 before `start` and rises over `warmup` steps. `chance_alignment`, the distance to the targets of *another* ray, is looked at, never minimised.

# %%
weight = config.masking.weight  # after the warm-up
total = sum(by_hand[name] for name in by_hand if name != "feature_alignment") + weight * by_hand["feature_alignment"]
assert torch.allclose(total, losses.weighted_sum(by_package, weight), atol=1e-5)
print(f"total {total:.4f}; chance alignment {by_package['chance_alignment']:.3f}")

# %% [markdown]
# ## Training steps
#
# This is all of the training, without log, validation and checkpoints, from random weights: change it and run it again. `Objective` renders a batch and computes the terms, as above.

# %%
from maskrf_core.training.objective import Objective
from maskrf_core.training.optimiser import adam
from maskrf_core.training.saved_states import random_renderer
from maskrf_core.training.schedules import masking_schedule

learner = random_renderer(config).train()
objective, schedule = Objective(learner, config), masking_schedule(config)
optimiser = adam(learner.parameters(), config.training.learning_rate)
draws, history = np.random.default_rng(parameters.seed), []

# %%
_ = torch.set_grad_enabled(True)
for number in tracked(range(config.training.steps), total=config.training.steps, title="training"):
    terms = objective(mixture.draw(draws).batch, generator=generator)
    loss = losses.weighted_sum(terms, schedule.weight_at(number))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if number >= schedule.start:
        learner.masked_modelling.update_target(schedule.decay)
    history.append({"phase": "train", "step": number + 1} | {name: term.item() for name, term in terms.items()})
_ = torch.set_grad_enabled(False)

# %%
metrics = pd.DataFrame(history)
assert np.isfinite(metrics["colour_fine"]).all()
show(plots.loss_curves(metrics, schedule.start), folder / "losses.png")

# %% [markdown]
# ## Any pixel, any mask
#
# Click a pixel in an open notebook, or set `point`. Above each photograph stands how much of the pixel's colour comes from it. Compare renderers: random weights, your twenty steps, and the weights that ship, finetuned and pretrained. Only the pretrained ones have learned to predict under a mask; the finetuned ones no longer see masks.

# %%
renderers = {
    "untrained": comparison.untrained_like(renderer, config),
    f"trained for {config.training.steps} steps": learner.eval(),
    "finetuned": load_renderer(SHIPPED["maskrf"]),
    "pretrained": renderer,
}
inspection = ray_inspection.inspection_of(config, renderers, parameters.scene)
masking = {"mask_ratio": parameters.mask_ratio, "strategy": config.masking.strategy}
viewers.inspect_rays(inspection, folder / "ray.png", xy=(x, y), **masking)

# %%
look = ray_inspection.look_along(renderer, features, rays)
assert torch.allclose(look.rgb, rgb[0], atol=1e-5)
assert torch.allclose(look.shares.sum(), hits.sum(), atol=1e-4)

# %% [markdown]
# ## Masked, unmasked, truth
#
# The same query, small, with more and more of its samples masked. Where the picture hardly changes, colours and visibility, which no mask hides, carry it.

# %%
compared = ["untrained", "pretrained"]
viewers.masked_unmasked_truth(inspection, compared, folder / "masked.png", strategy=config.masking.strategy)

# %% [markdown]
# Where to go on: [03](03_pretrain.ipynb) pretrains with masks, [04](04_finetune.ipynb) finetunes from that, [05](05_evaluate.ipynb) evaluates, [02](02_mask_ratio_ablation.ipynb) asks how much to mask.

# %% [markdown]
# ## For the record

# %%
from maskrf_core.workbook import reports

numbers = {"pixel": [x, y], "rendered": rgb[0].tolist(), "distance": distances.mean().item()}
numbers |= {"shares_of_views": look.shares.tolist(), "losses": table["by hand"].to_dict()}
records.record(folder, parameters, numbers)
print("numbers in", display_path(folder / "results.json"))
reports.keep_this_notebook(folder, parameters.runs, name="00_method")
