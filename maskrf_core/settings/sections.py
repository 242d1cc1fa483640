"""The settings of a run by section: typed, bounded, strict. `settings.config` makes a whole config of them."""

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Stage = Literal["pretrain", "finetune", "per_scene"]
Preset = Literal["demo", "paper", "weights", "study"]
MaskRatio = Annotated[float, Field(ge=0, lt=1, description="masked share of a ray's samples, or the strategy's unit")]
Steps = Annotated[int, Field(ge=1, le=10_000_000, description="optimiser steps")]
WorkingViews = Annotated[int, Field(ge=1, le=64, description="reference views of a query")]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="of weights, data order, rays and masks")]
VisibilityInit = Literal["depth", "cost_volume"]
ViewChoice = Literal["nearest", "nearest_looking"]
AGGREGATORS = ("neuray", "ibrnet", "nerformer", "nerformer_pooled")
Device = Literal["auto", "cpu", "cuda"]
Devices = Annotated[int, Field(ge=1, le=64, description="training processes on a node, one a GPU if there are any")]
Nodes = Annotated[int, Field(ge=1, le=1024, description="computers that train together")]
Precision = Literal["32-true", "bf16-mixed"]
PathKind = Literal["auto", "spiral", "circle", "interpolate", "orbit", "none"]
PathFrames = Annotated[int, Field(ge=2, le=10_000, description="pictures of a camera path")]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
CropSide = Annotated[int, Field(ge=32, le=8192)]


RECIPE = 2  # 1: until November 2026, when finetuning drew the batches of pretraining again


class Settings(BaseModel):
    """Base of all settings: frozen plain data; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FreeMapSettings(Settings):
    """The learnable visibility maps of a per-scene renderer, one a training view."""

    views: int = Field(ge=1, description="training views of the scene")
    height: int = Field(ge=1, description="of a map, in feature pixels: a quarter of the padded image")
    width: int = Field(ge=1, description="likewise")
    scene: str | None = Field(None, description="its name; none: not known, as in published checkpoints")
    shared_depth_range: bool = Field(
        False, description="all views have one depth range, as in training; false: maps made before that was so"
    )


class ModelSettings(Settings):
    """What the renderer is made of."""

    aggregator: str = Field(
        "neuray",
        description="of the views at a sample: neuray, ibrnet, nerformer (nerformer_pooled: for 128×128 pictures), or "
        "module:name of your own",
    )
    visibility_init: VisibilityInit | None = Field(
        "depth", description="what visibility is decoded from: depth maps or cost volumes; none: from free maps alone"
    )
    free_maps: FreeMapSettings | None = Field(None, description="set by per-scene training, not by people")
    direct_rendering: bool = Field(False, description="render from the visibility of the views alone as well")
    coarse_samples: int = Field(64, ge=4, le=1024, description="samples of the coarse pass on a ray")
    fine_samples: int = Field(32, ge=1, le=1024, description="samples that the fine pass adds on a ray")

    @model_validator(mode="after")
    def _aggregator_is_known(self) -> "ModelSettings":
        if self.aggregator not in AGGREGATORS and ":" not in self.aggregator:
            nearest = get_close_matches(self.aggregator, AGGREGATORS, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(AGGREGATORS)}."
            raise ValueError(f"aggregator={self.aggregator!r}: unknown; {hint} One of your own is named module:name.")
        return self

    @model_validator(mode="after")
    def _visibility_comes_from_somewhere(self) -> "ModelSettings":
        if self.visibility_init is None and self.free_maps is None:
            raise ValueError("visibility_init must be depth or cost_volume where there are no free maps")
        return self


class MaskingSettings(Settings):
    """Masked ray and view modelling; in finetuning mask_ratio is 0 and none of it happens."""

    mask_ratio: MaskRatio = 0.5
    largest_mask_ratio: MaskRatio | None = Field(
        None, description="each step draws its ratio uniformly from mask_ratio to this; none: it is always mask_ratio"
    )
    strategy: str = Field(
        "ray_and_view", description="a name of maskrf_core.model.masking.strategies, or module:function of your own"
    )
    target: Literal["scene_feature", "colour", "raw", "normalised"] = Field(
        "scene_feature",
        description="what of unmasked coarse samples is predicted: the direction of projected features; colour, by one "
        "linear layer; features as they are (raw), or at mean 0 and variance 1 over channels (normalised)",
    )
    token: Literal["learned", "zeros"] = Field("learned", description="what stands in for masked features")
    ema_target: bool = Field(True, description="the target's projector follows by EMA; False: it is the projector")
    projector: bool = Field(True, description="project scene features before they are compared")
    predictor: bool = Field(True, description="predict the target's projection from the projection")
    weight: float = Field(0.1, ge=0, description="λ of what masked features predict, after its warm-up")
    start: float = Field(0.05, ge=0, le=1, description="share of the steps before the alignment loss and the EMA begin")
    warmup: float = Field(0.025, ge=0, le=1, description="share of the steps over which λ rises linearly from 0")
    target_memory: float = Field(
        0.00025, gt=0, le=1, description="share of the steps that the EMA looks back on; published: 100 of 400,000"
    )
    of_steps: Steps | None = Field(
        None, description="steps that these are shares of; none: those that the run is begun with"
    )

    @model_validator(mode="after")
    def _range_of_ratios_rises(self) -> "MaskingSettings":
        if self.largest < self.mask_ratio:
            raise ValueError(
                f"largest_mask_ratio={self.largest_mask_ratio:g}: must be at least mask_ratio={self.mask_ratio:g}"
            )
        return self

    @property
    def largest(self) -> float:
        """Return the largest ratio that a step can have."""
        return self.mask_ratio if self.largest_mask_ratio is None else self.largest_mask_ratio

    @property
    def masks(self) -> bool:
        """Tell whether anything is masked at all."""
        return self.largest > 0

    @property
    def target_follows(self) -> bool:
        """Tell whether there is a target that follows by EMA."""
        return self.masks and self.target == "scene_feature" and self.projector and self.ema_target


class DataSettings(Settings):
    """Which scenes, and what is drawn from them. `demo/train`, `demo/validation`, `demo/test` name all such scenes.

    In `train_scenes`, the name of a data set alone (`gso`) means all of its scenes below the data root.
    """

    data_root: str = Field("data", description="folder that holds the data sets")
    train_scenes: list[str] = Field(["demo/train"], min_length=1)
    validation_scenes: list[str] = Field(
        ["demo/validation"], description="none: a scene of each whole data set, held out of training"
    )
    data_set_weights: dict[str, Weight] = Field(
        {}, description="how often a data set is drawn, relative to the others; by default as published, or 1"
    )
    crop_height: CropSide | None = Field(None, description="pixels; of forward-facing data sets, none: the whole side")
    crop_width: CropSide | None = Field(None, description="likewise")
    working_views: WorkingViews = 8
    view_pool: float = Field(
        3.0, ge=1, description="working views are drawn from so many times as many, if the data set has no own rule"
    )
    view_choice: ViewChoice | None = Field(
        None,
        description="which views are references: nearest (by camera centres, as published) or nearest_looking (by "
        "viewing directions too); none: as each data set's record says, in a run that was begun as it began",
    )
    query_kept: float = Field(0.02, ge=0, le=1, description="probability that the query may be its own reference")
    rays: int = Field(
        512, ge=2, description="query rays of a step: half of them on the foreground, or most in the picture's centre"
    )
    depth_pixels: int = Field(8192, ge=1, description="pixels of each reference view whose depth is supervised")
    depth_supervision: bool | None = Field(
        None,
        description="supervise visibility by depth maps: true of all data sets, with all pixels counting alike; none: "
        "where it comes from them (cost volumes need none), of data sets whose depth is exact, as published",
    )
    mvsnet_weights: str | None = Field(
        None, description="file of the cost volumes' pretrained MVSNet; none: model/mvsnet_pl.ckpt below the data root"
    )
    unknown_depth_is_near: bool = Field(True, description="supervise unknown depth (0) as near, as published, or not")


class TrainingSettings(Settings):
    """The loop."""

    steps: Steps = 400_000
    learning_rate: float = Field(4e-4, gt=0, description="of Adam, at the start")
    halve_every: int = Field(100_000, ge=1, description="steps after which the learning rate is halved")
    lowest_learning_rate: float = Field(1e-5, ge=0)
    initial_weights: str | None = Field(None, description="checkpoint to start from; none: random weights")
    other_samples: bool = Field(False, description="begin also from weights of other numbers of samples on a ray")
    schedule: Literal["restart", "continue"] = Field(
        "restart", description="count the rate's steps anew, as published, or with those behind the initial weights"
    )
    optimiser: Literal["fresh", "handed_on"] = Field(
        "fresh", description="begin with an empty Adam, as published, or with that of the initial weights"
    )
    recipe: int = Field(RECIPE, ge=1, le=RECIPE, description="version of draws and augmentation; older ones are over")
    seed: Seed = 0
    log_every: int = Field(100, ge=1, description="steps between two lines of the log")
    validate_every: int = Field(10_000, ge=1, description="steps between two validations")
    validation_views: int | None = Field(
        4, ge=1, description="query views of a validation scene; none: so many that all cost 2 % of the training"
    )
    checkpoint_every: int = Field(1_000, ge=1, description="steps between two checkpoints")


class RenderingSettings(Settings):
    """How finished weights render whole pictures; validations during training are exact and in float32."""

    mode: Literal["exact", "adaptive", "preview"] = Field(
        "exact",
        description="adaptive: coarse pass for every other pixel in x and y, fine pass at 32 samples; faster. preview: "
        "for every twelfth, fine pass at 5, from 5 views, of half the pixels: to look around",
    )
    precision: Precision = Field("32-true", description="bf16-mixed: networks multiply in bfloat16; pays on GPUs")
    compile: bool | None = Field(
        None,
        description="true: compile these networks first, a minute or two for each size of pictures; none: for films "
        "and test sets so large that it pays, where no native code computes",
    )
    twin: bool | None = Field(
        None, description="true: plain pass, also where native code or kernels can run; false: kernels without a trial"
    )


EXACT = RenderingSettings()


class PathSettings(Settings):
    """How a camera travels through a scene for a video. All paths end where they begin, so that the video can loop
    (through views: where `turns` divides `frames`)."""

    kind: PathKind = Field(
        "auto", description="auto: spiral if cameras look one way, orbit if around an object, else interpolate"
    )
    frames: PathFrames = 120
    frames_per_second: int = Field(30, ge=1, le=120)
    largest_side: int | None = Field(
        None, ge=16, le=8192, description="pixels; frames are scaled down to it; none: the size of the scene's images"
    )
    radius_scale: float = Field(1.0, gt=0, le=10, description="times the cameras' spread, or their distance (orbit)")
    turns: int | None = Field(None, ge=1, le=100, description="of a whole path; none: 2 of a spiral, else 1")
    focus: float = Field(0.75, ge=0, le=1, description="of spiral and circle: near (0) to far (1) in inverse depth")
    views: list[str] | None = Field(
        None, min_length=2, description="ids to interpolate through, in this order; none: up to 8, far from each other"
    )


class EvaluationSettings(Settings):
    """What a finished model is judged by. Neither training nor the choice of settings may see it."""

    test_scenes: list[str] = Field(["demo/test"], min_length=1)
    views_per_scene: int | None = Field(None, ge=1, description="query views of each test scene; none: all")
    path: PathSettings = PathSettings()


class HardwareSettings(Settings):
    """Where and how it is computed. Results depend on it by rounding alone (roughly, in bfloat16), but for the number
    of processes: each draws a batch of its own in every step."""

    device: Device = "auto"
    devices: Devices = 1
    num_nodes: Nodes = 1
    precision: Precision = Field("32-true", description="of training; bf16-mixed: networks multiply in bfloat16")
    compile: bool | None = Field(
        None, description="true: compile networks for training, minutes a size; none: encoders alone, on a GPU"
    )
    twin: bool | None = Field(None, description="as in rendering, for trainings and their validations")
    cuda_graph: bool = Field(False, description="record steps on a GPU, for sizes that repeat; not run on one yet")
    recomputed_rays: int | None = Field(
        None,
        ge=1,
        description="rays the backward pass computes again at once (other dropout); saves memory; none: no",
    )
    rays_per_chunk: int = Field(256, ge=1, description="rays rendered at once without gradients; bounds the memory")
    data_workers: int | None = Field(
        None, ge=0, le=64, description="processes that prepare batches; none: by the cores; 0: the training itself does"
    )
    image_cache_mib: int = Field(1024, ge=0, le=2**20, description="memory for decoded images, of all processes")
    render_cache_mib: int = Field(2048, ge=0, le=2**20, description="disk for evaluations' renderings, kept; 0: none")

    @property
    def processes(self) -> int:
        """Return the number of training processes in all."""
        return self.devices * self.num_nodes
