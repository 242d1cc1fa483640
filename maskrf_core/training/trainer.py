"""The loop: `fit(run)` trains what the run folder says, and continues it if it was begun."""

import math
from collections.abc import Iterator
from contextlib import closing, nullcontext

import torch
from torch import Tensor

from maskrf_core.checkpoints.checkpoint_files import load_weights
from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.loader import training_batches
from maskrf_core.datasets.batches.mixture import fingerprints
from maskrf_core.datasets.batches.training_views import TrainingDraw
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.losses import with_total
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import validate
from maskrf_core.rendering.rendered_views import RenderedView
from maskrf_core.runs import Run
from maskrf_core.runs.log import MetricAverager, RunLog
from maskrf_core.runs.status import owned
from maskrf_core.settings.sections import RECIPE, RenderingSettings
from maskrf_core.support.atomic_files import remove_leftovers
from maskrf_core.support.errors import RunError, in_short
from maskrf_core.support.progress import Progress
from maskrf_core.training.objective import Objective
from maskrf_core.training.optimiser import adam, load_optimiser
from maskrf_core.training.preflight import data_workers, open_checked_scenes, prepare_depths, with_validation
from maskrf_core.training.process.process_group import ProcessGroup, batch_of_several, start_fabric
from maskrf_core.training.process.protocol import TrainingStopped, asked_to_stop, heed_stop, place_among_processes
from maskrf_core.training.recorded_steps import recorded_steps
from maskrf_core.training.reporting import StatusReport, record_session, status_report
from maskrf_core.training.saved_states import is_done, optimiser_of, read_newest, renderer_of_run, save, steps_before
from maskrf_core.training.schedules import FIRST_STREAM, learning_rate, masking_schedule, stream_seed
from maskrf_core.training.validation_pictures import ValidationPictures


def fit(run: Run) -> Renderer:
    """Train the run to its configured number of steps and return the renderer, in evaluation mode.

    A run that was begun is continued from its last checkpoint; a finished one is only loaded. Each step's draws depend
    on the seed, the number of the process and the step alone, counted with those behind the initial weights: a run that
    is continued sees what an uninterrupted one would, and finetuning nothing that pretraining drew.

    Raises:
        DatasetError: a scene is missing, broken, or has too few views; before anything is trained.
        CheckpointError: the weights to start or continue from cannot be used.
        AlreadyTrained: another process is training this run.
        TrainingStopped: it was asked to stop, and has saved.
        RunError: a loss is not finite, or a file cannot be written; the last checkpoint is kept.
        SettingsError: GPUs, processes or a compiler that the settings ask for are not there.
    """
    first = place_among_processes()[0] == 0
    with owned(run.folder) if first else nullcontext(), status_report(run, first=first) as report:
        if first:
            heed_stop(run.stop_path)
            remove_leftovers(run.last_checkpoint, run.previous_checkpoint, run.best_checkpoint)
        trainer = Trainer(run, report)
        trainer.fit()
        return trainer.renderer.eval()


class Trainer:
    """The state of one training: renderer, optimiser, step and the best validation so far."""

    def __init__(self, run: Run, report: StatusReport | None = None):
        self.run = run
        self.config = with_validation(run.config)
        self.report = report or StatusReport(run)
        self.schedule = masking_schedule(self.config)
        self.mixture, self.validation_scenes = open_checked_scenes(self.config)
        self.judged: SplitKind = "test" if self.config.stage == "per_scene" else "validation"
        self.fabric = start_fabric(self.config.hardware)
        self.together = ProcessGroup(self.fabric)
        checkpoint = read_newest(run, first=self.together.is_first)
        if self.config.training.recipe != RECIPE and (checkpoint is None or not is_done(run)):
            raise RunError(
                f"{run.folder}: was begun when batches were drawn otherwise (training.recipe is not {RECIPE}), and "
                "cannot go on. Start a new run; what it has trained so far can still be rendered."
            )
        self.renderer = renderer_of_run(self.config, self.mixture, checkpoint, self.fabric.device)
        self.objective = Objective(self.renderer, self.config)
        optimiser = adam(self.renderer.parameters(), self.config.training.learning_rate)
        self.step, state = 0, {}
        if checkpoint is not None:
            load_weights(self.renderer, checkpoint["weights"], run.last_checkpoint)
            self.step, state = checkpoint["step"], checkpoint["state"]  # the first versions kept less of the state
        self.steps_before = steps_before(self.config) if checkpoint is None else state.get("steps_before", 0)
        self.best = state.get("best", {"fine_psnr": float("-inf"), "step": -1})
        self.owes_validation = state.get("owes_validation", False)  # whether that of this step was interrupted
        self.pictures = ValidationPictures(run)
        logged = state.get("logged", [{}] * self.together.count)
        self.interval = MetricAverager(**logged[self.together.rank])
        self.model, self.optimiser = self.fabric.setup(self.objective, optimiser)
        self.computed = self._computed
        if self.config.hardware.cuda_graph:
            self.computed = recorded_steps(self._terms, self.renderer, self.config, self.fabric.device)
        if state:
            load_optimiser(self.optimiser, state["optimiser"])
        elif checkpoint is None and self.config.training.optimiser == "handed_on":
            load_optimiser(self.optimiser, optimiser_of(self.config.training.initial_weights))

    def fit(self) -> None:
        """Do the remaining steps, with log, validation and checkpoints at their intervals."""
        self.report.step, total, first = self.step, self.config.training.steps, self.together.is_first
        done_before = self.step >= total and not self.owes_validation
        judged_by = in_short([views.scene.name for views in self.validation_scenes])
        judged = f"{self.judged} on {judged_by}: at most {self.config.training.validation_views} views of each"
        before = [f"{self.run.folder.name}: all {self.step} steps were done before"] if done_before else []
        notices = before or [*self.mixture.notices, *batch_of_several(self.config), judged]
        if first:
            print("\n".join(notices), flush=True)
        if done_before:
            return
        data = fingerprints(self.mixture, self.validation_scenes) if first else {}
        session = record_session(self.run, data, lambda: self.step, self.fabric.device) if first else nullcontext()
        with session:
            if not first:  # what the first process estimates, the others find
                self.fabric.barrier()
            prepare_depths(self.mixture, self.validation_scenes if self.renderer.inputs.depths else [])
            if first:
                self.fabric.barrier()
            with (
                closing(RunLog(self.run, self.step)) if first else nullcontext() as log,
                closing(Progress(total, self.step, f"{self.config.stage} {self.run.folder.name}")) as progress,
                closing(self.batches()) as batches,
            ):
                self._fit(batches, log, progress)

    def batches(self) -> Iterator[TrainingDraw]:
        """Make this process's batches of the remaining steps, made ahead by the config's data workers."""
        return training_batches(
            self.mixture, seed=(self.config.training.seed, FIRST_STREAM), first_step=self.steps_before + self.step,
            steps=self.steps_before + self.config.training.steps, workers=data_workers(self.config.hardware),
            pinned=self.fabric.device.type == "cuda", rank=self.together.rank,
        )  # fmt: skip

    def _fit(self, batches: Iterator[TrainingDraw], log: RunLog | None, progress: Progress) -> None:
        def write(phase: str, numbers: dict[str, float | dict[str, float]]) -> None:
            if log is not None:
                progress.line(log.write(self.step, phase, numbers))

        def judge() -> None:
            write(self.judged, self._judge())
            if self.step > 0:
                self._save()

        training = self.config.training
        if self.owes_validation or (self.judged == "test" and self.step == 0):  # step 0: what the init network gives
            judge()
        self.interval.resume()
        while self.step < training.steps:
            try:
                draw = next(batches)
            except RunError:  # data workers may have been ended by the very signal that asks this process to stop
                if self.together.count == 1:
                    self._stop_if_asked()
                raise
            self.interval.add(self._train_step(draw))
            self.step += 1
            progress.advance()
            if self.together.is_first:
                self.report.at(self.step)
            ends = self.step == training.steps
            if ends or self.step % training.log_every == 0:
                numbers = self.together.mean(self.interval.means())
                write("train", numbers | {"learning_rate": self._learning_rate(self.step - 1)})
                self.interval = MetricAverager()
            if ends or self.step % training.validate_every == 0:
                judge()
            elif self.step % training.checkpoint_every == 0:
                self._save()
            if not ends:
                self._stop_if_asked()
            self.interval.resume()

    def _train_step(self, draw: TrainingDraw) -> dict[str, float]:
        """Do one optimiser step and return the raw terms and their weighted sum."""
        seed = stream_seed(self.config.training.seed, self.steps_before + self.step, self.together.rank)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate(self.step)

        self.model.train()
        terms = self.computed(draw.batch, self.schedule.weight_at(self.step), seed)
        # Here alone a GPU is waited for: it has been given all but what a loss that is not finite must not do.
        values = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
        if not all(map(math.isfinite, values.values())):
            listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise RunError(
                f"{self.run.folder}: the loss is not finite at step {self.step} ({listed}; {draw.origin}). Nothing of "
                "this step was kept. Look at that batch, or lower training.learning_rate and start a new run."
            )
        self.optimiser.step()
        if self.config.masking.target_follows and self.step >= self.schedule.start:
            self.renderer.masked_modelling.update_target(self.schedule.decay)
        return values

    def _computed(self, batch: SceneBatch, masked_weight: float, seed: int) -> dict[str, Tensor]:
        """Return the raw terms and, as `total`, their weighted sum, and set the gradients."""
        generator = torch.Generator(self.fabric.device).manual_seed(seed)
        terms = self._terms(batch.to(self.fabric.device, non_blocking=True), masked_weight, generator)
        self.optimiser.zero_grad()
        self.fabric.backward(terms["total"])
        return terms

    def _terms(self, batch: SceneBatch, masked_weight: float | Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return with_total(self.model(batch, generator=generator), masked_weight)

    def _learning_rate(self, step: int) -> float:
        return learning_rate(step, self.config.training, self.steps_before)

    def _judge(self) -> dict[str, float | dict[str, float]]:
        """Average metrics over the validation views, later if asked to stop meanwhile; keep weights that are the best.

        By test views, which those of a per-scene training are, nothing is chosen: they are only logged.
        """
        self.owes_validation = True
        self.together.share_buffers(self.renderer)
        hardware = self.config.hardware
        with self.report.during("validating"):
            numbers = validate(
                self.renderer, self.validation_scenes, self.judged, working_views=self.config.data.working_views,
                views_per_scene=self.config.training.validation_views, after_each=self._after_view,
                rays_per_chunk=hardware.rays_per_chunk, rendering=RenderingSettings(twin=hardware.twin, compile=False),
                gathered=self.together.gathered, share=(self.together.rank, self.together.count),
            )  # fmt: skip
        if self.judged == "validation" and numbers["fine_psnr"] > self.best["fine_psnr"]:
            self.best = {"fine_psnr": numbers["fine_psnr"], "step": self.step}
            self._save(best=True)
        self.owes_validation = False
        return numbers

    def _after_view(self, view: RenderedView) -> None:
        """Keep the picture of a validation's first view; stop if asked to, which several processes do not meanwhile."""
        if self.together.is_first:
            self.pictures.keep_first(self.step, view)
        if self.together.count == 1:
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        """Raise `TrainingStopped` if any of the processes was asked to stop, once everything is saved."""
        code = self.together.agreed(asked_to_stop(self.run.stop_path))
        if code is None:
            return
        self._save(needed=True)
        if self.together.is_first:
            self.run.stop_path.unlink(missing_ok=True)
        self.fabric.barrier()  # torchrun ends the others as soon as one has ended
        raise TrainingStopped(
            f"{self.run.folder}: stopped by {code.said} after {self.step} of {self.config.training.steps} steps. All "
            "is saved: start the run again to go on.",
            code,
        )

    def _save(self, *, best: bool = False, needed: bool = False) -> None:
        """Let the first process save the state of all of them: as the best, or as the one to continue from."""
        needed = needed or self.step == self.config.training.steps
        logged = self.together.gathered([self.interval.state])
        state = {"best": self.best, "logged": logged, "owes_validation": self.owes_validation}
        state["steps_before"] = self.steps_before
        if self.together.is_first:
            state["optimiser"] = self.optimiser.state_dict()
            with self.report.during("saving"):
                save(self.run, self.renderer, self.step, state, best=best, needed=needed)
