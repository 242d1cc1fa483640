"""The loop: `fit(run)` trains what the run folder says, and continues it if it was begun."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import torch
from lightning_fabric import Fabric

from maskrf_core.checkpoints import check_model, load_weights, read_our_checkpoint, save_checkpoint
from maskrf_core.config import Config
from maskrf_core.datasets.loader import training_batches
from maskrf_core.datasets.one_scene import OneScene
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.datasets.training_views import TrainingDraw
from maskrf_core.errors import RunError
from maskrf_core.evaluation import resolve_device, validate
from maskrf_core.losses import Objective, weighted_sum
from maskrf_core.model.renderer import Renderer
from maskrf_core.mvsnet_weights import load_mvsnet
from maskrf_core.per_scene import for_one_scene
from maskrf_core.progress import Progress
from maskrf_core.published_checkpoints import load_renderer
from maskrf_core.runs import Run
from maskrf_core.runs.log import RunLog
from maskrf_core.settings import HardwareSettings, ModelSettings
from maskrf_core.training.scenes import open_checked_scenes
from maskrf_core.training.schedule import FIRST_STREAM, is_due, learning_rate, stream_seed


def fit(run: Run) -> Renderer:
    """Train the run to its configured number of steps and return the renderer, in evaluation mode.

    A run that was begun is continued from its last checkpoint; a finished one is only loaded. Each step's draws
    depend on the seed and the step alone, so a continued run sees what an uninterrupted one would have.

    Raises:
        DatasetError: a scene is missing, broken, or has too few views; before anything is trained.
        CheckpointError: the weights to start or continue from cannot be used.
        RunError: a loss is not finite; the last checkpoint is kept.
    """
    trainer = Trainer(run)
    trainer.fit()
    return trainer.renderer.eval()


class Trainer:
    """The state of one training: renderer, optimiser, step and the best validation so far."""

    def __init__(self, run: Run):
        self.run = run
        self.config = run.config
        training = self.config.training
        self.mixture, self.validation_scenes = open_checked_scenes(self.config)

        self.fabric = start_fabric(self.config.hardware)
        checkpoint = read_our_checkpoint(run.last_checkpoint) if run.last_checkpoint.is_file() else None
        self.renderer = self._renderer(checkpoint)
        self.objective = Objective(self.renderer, self.config)
        trainable = [parameter for parameter in self.renderer.parameters() if parameter.requires_grad]
        optimiser = torch.optim.Adam(trainable, lr=training.learning_rate)
        self.step, self.best = 0, {"fine_psnr": float("-inf"), "step": -1}
        self.restored_optimiser = None
        if checkpoint is not None:
            self._restore(checkpoint)
        self.model, self.optimiser = self.fabric.setup(self.objective, optimiser)
        if self.restored_optimiser is not None:
            self.optimiser.load_state_dict(self.restored_optimiser)

    def _renderer(self, checkpoint: dict | None) -> Renderer:
        """The renderer that training begins with; for a checkpoint, one that its weights fit."""
        config, scenes = self.config, self.mixture
        if checkpoint is not None:
            # How many free maps there are, and of which size, is said there alone.
            of_scene = isinstance(scenes, OneScene)
            model = ModelSettings.model_validate(checkpoint["model_settings"]) if of_scene else config.model
            return Renderer(model, config.masking)
        if isinstance(scenes, OneScene):
            return for_one_scene(initial_renderer(config).to(self.fabric.device), scenes.views)
        return initial_renderer(config)

    def fit(self) -> None:
        """Do the remaining steps, with log, validation and checkpoints at their intervals."""
        training = self.config.training
        if self.step >= training.steps:
            print(f"{self.run.folder.name}: all {self.step} steps were done before", flush=True)
            return
        for notice in self.mixture.notices:
            print(notice, flush=True)
        self._prepare_depths()
        with closing(self.batches()) as batches:
            self._fit(batches)

    def batches(self) -> Iterator[TrainingDraw]:
        """The batches of the remaining steps, made ahead by the config's data workers."""
        return training_batches(
            self.mixture,
            seed=(self.config.training.seed, FIRST_STREAM),
            first_step=self.step,
            steps=self.config.training.steps,
            workers=self.config.hardware.data_workers,
            pinned=self.fabric.device.type == "cuda",
        )

    def _fit(self, batches: Iterator[TrainingDraw]) -> None:
        training = self.config.training
        log = RunLog(self.run, self.step)
        progress = Progress(training.steps, self.step, f"{self.config.stage} {self.run.folder.name}")
        judged = "test" if self.config.stage == "per_scene" else "validation"
        sums = defaultdict(float)
        try:
            if judged == "test" and self.step == 0:  # what the init network gives
                progress.line(log.write(0, judged, self._judge(judged)))
            since = time.perf_counter()
            for draw in batches:
                for name, value in self._train_step(draw).items():
                    sums[name] += value
                self.step += 1
                progress.advance()
                if is_due(self.step, training.log_every, training.steps):
                    steps = self.step - log.last_step
                    numbers = {name: value / steps for name, value in sums.items()}
                    numbers["learning_rate"] = learning_rate(self.step - 1, training)
                    numbers["seconds_per_step"] = (time.perf_counter() - since) / steps
                    progress.line(log.write(self.step, "train", numbers))
                    sums.clear()
                is_judged = is_due(self.step, training.validate_every, training.steps)
                if is_judged:
                    progress.line(log.write(self.step, judged, self._judge(judged)))
                if is_judged or self.step % training.checkpoint_every == 0:
                    self._save(self.run.last_checkpoint)
                if log.last_step == self.step:
                    since = time.perf_counter()
        finally:
            progress.close()
            log.close()

    def _train_step(self, draw: TrainingDraw) -> dict[str, float]:
        """One optimiser step; the raw terms and their weighted sum."""
        config = self.config
        generator = torch.Generator(self.fabric.device).manual_seed(stream_seed(config.training.seed, self.step))
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, config.training)

        self.renderer.train()
        terms = self.model(draw.batch.to(self.fabric.device), generator=generator)
        total = weighted_sum(terms, config.masking, self.step)
        values = {name: float(term.detach()) for name, term in {"total": total, **terms}.items()}
        if not np.isfinite(list(values.values())).all():
            raise RunError(
                f"{self.run.folder}: the loss is not finite at step {self.step} ({_listed(values)}; {draw.origin}). "
                "Nothing of this step was kept. Look at that batch, or lower training.learning_rate and start a new "
                "run."
            )
        self.optimiser.zero_grad()
        self.fabric.backward(total)
        self.optimiser.step()
        if config.masking.target_follows and self.step >= config.masking.start_step:
            self.renderer.masked_modelling.update_target()
        return values

    def _judge(self, split: SplitKind) -> dict[str, float]:
        """Mean metrics over the validation views; the weights are kept if they are the best so far.

        By test views, which those of a per-scene training are, nothing is chosen: they are only logged.
        """
        data, training = self.config.data, self.config.training
        numbers = validate(
            self.renderer,
            self.validation_scenes,
            split,
            working_views=data.working_views,
            views_per_scene=training.validation_views,
            rays_per_chunk=self.config.hardware.rays_per_chunk,
        )
        if split == "validation" and numbers["fine_psnr"] > self.best["fine_psnr"]:
            self.best = {"fine_psnr": numbers["fine_psnr"], "step": self.step}
            self._save(self.run.best_checkpoint)
        return numbers

    def _prepare_depths(self) -> None:
        """Have the depth maps of all scenes that are named singly before the first step, where any are needed.

        Those of whole data sets are prepared when a scene is drawn: there may be thousands.
        """
        if isinstance(self.mixture, OneScene):
            self.mixture.prepare_depths()
            return
        named = [(views, "train") for views in self.mixture.singly.values() if self.mixture.inputs.depths]
        validated = [(views, "validation") for views in self.validation_scenes if self.renderer.inputs.depths]
        for views, split in named + validated:
            views.prepare_depths(views.scene.split(split)[0])

    def _save(self, path) -> None:
        save_checkpoint(path, self.renderer, self.step, {"optimiser": self.optimiser.state_dict(), "best": self.best})

    def _restore(self, checkpoint: dict) -> None:
        load_weights(self.renderer, checkpoint["weights"], self.run.last_checkpoint)
        self.step, self.best = checkpoint["step"], checkpoint["state"]["best"]
        self.restored_optimiser = checkpoint["state"]["optimiser"]


def initial_renderer(config: Config) -> Renderer:
    """The renderer that training starts from: a checkpoint's, or a random one of the config's seed.

    Raises:
        CheckpointError: the checkpoint cannot be used, or has other model settings than the config; or the weights of
            a random one's MVSNet are missing.
    """
    path = config.training.initial_weights
    if path is None:
        renderer = random_renderer(config)
        if config.model.visibility_init == "cost_volume":
            load_mvsnet(renderer.visibility_init.mvsnet, config.data)
        return renderer
    loaded = load_renderer(path)
    check_model(loaded.settings, config.model, path)
    renderer = Renderer(config.model, config.masking)
    load_weights(renderer, loaded.state_dict(), path)
    return renderer.eval()


def random_renderer(config: Config) -> Renderer:
    """A renderer of random weights, those of the config's seed; its MVSNet, if it has one, is random too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        return Renderer(config.model, config.masking)


def start_fabric(hardware: HardwareSettings) -> Fabric:
    """Device and precision of the run: the first GPU if there is one, else the CPU."""
    fabric = Fabric(accelerator=resolve_device(hardware.device).type, devices=1, precision=hardware.precision)
    fabric.launch()
    return fabric


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
