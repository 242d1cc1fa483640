"""A test view under small renderers of random weights."""

from maskrf_core.settings.config import load_config
from maskrf_core.training.saved_states import random_renderer
from maskrf_core.workbook.experiments.ray_inspection import Inspection, inspection_of


def small_inspection(*seeds: int, aggregator: str = "neuray") -> Inspection:
    """Inspect a demo scene by a renderer of each seed, named by it, from three views."""
    sizes = {"model.coarse_samples": 12, "model.fine_samples": 4, "data.working_views": 3}
    sizes["model.aggregator"] = aggregator
    configs = {seed: load_config("pretrain", "demo", sizes | {"training.seed": seed}) for seed in seeds}
    renderers = {f"seed {seed}": random_renderer(config).eval() for seed, config in configs.items()}
    return inspection_of(configs[seeds[0]], renderers, "demo/test_00")
