"""The typed options of recognition: every field with its default, unit and meaning."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from actionspace.config import Config
from actionspace.errors import UsageError
from actionspace.features.tokens import side_of
from actionspace.recognition.attentive_options import AttentiveHeadConfig
from actionspace.training.augment.options import AugmentConfig, Range
from actionspace.training.base_recipe import BaseRecipe
from actionspace.training.options import TrainingConfig
from actionspace.training.published import Published
from actionspace.training.splits import SplitConfig

SINGLE_LABEL_METRICS = ("top1_accuracy", "top5_accuracy", "mean_class_accuracy", "loss")
"""What the validation split is evaluated by while training, the first being the default judge."""
MULTI_LABEL_METRICS = ("map", "loss")
"""The same where an event may have several labels."""


class ViewsConfig(Config):
    """How clips are cut from a video. A field left empty is the encoder's own."""

    frames: PositiveInt | None = None
    """Frames per clip."""
    stride: PositiveInt | None = None
    """Step between the frames of a clip, in frames."""
    fps: float | None = Field(default=None, gt=0)
    """Rate the stride refers to, in frames per second; empty = the encoder's, which may be the
    video's own frames."""
    clips: PositiveInt = 1
    """Clips per event, spread evenly over it (event rows only)."""
    spread: bool = False
    """Clips of events take their frames evenly from the whole event, whatever the stride."""
    geometry: Literal["center", "three", "full", "pad"] | None = None
    """One centre crop, three crops along the longer side, the whole frame squeezed square, or the
    middle of the frame as it is, with grey where it is too small."""
    short_side: PositiveInt | None = None
    """Shorter side of the frame before cropping, in pixels."""
    size: PositiveInt | None = None
    """Side of the square the encoder sees, in pixels."""
    augment: int = Field(default=0, ge=0)
    """Random training views per event (random time, area, aspect, flip); 0 = none, the
    deterministic geometry instead. Clips decoded on the fly have a new one in each epoch."""
    flip: bool = True
    """Mirror random views half of the time; false where classes tell left from right."""
    speed: Range = (1.0, 1.0)
    """Random views of event rows: the stride times a random factor in this range, e.g. [0.5, 2]."""
    jitter: bool = False
    """Random views of event rows: each frame is a random one of its stride, not the first."""
    out_of_bound: Literal["loop", "repeat_last"] = "loop"
    """What stands for frames past the end: the first ones again, or the last one."""
    flow: Literal["dis-ultrafast", "dis-fast", "dis-medium"] | None = None
    """How optical flow is computed for an encoder that looks at it (dense inverse search); empty =
    ``dis-medium``."""


class FeaturesConfig(Config):
    """What the encoder is run on."""

    rows: Literal["dense", "events"] = "dense"
    """``dense``: a grid over each video, so that editing labels costs nothing. ``events``: clips
    placed in each event, as the published pipelines do."""
    hop: PositiveInt | None = None
    """Step of the dense grid, in frames; empty = half a clip's span."""
    resize: Literal["fast", "exact"] = "fast"
    """``fast``: inside the decoder. ``exact``: as the original pipelines, to one grey level."""
    train: ViewsConfig = ViewsConfig()
    """Clips the head is fitted on."""
    val: ViewsConfig = ViewsConfig()
    """Clips of the validation split, on which the strength is chosen."""
    test: ViewsConfig = ViewsConfig()
    """Clips that are evaluated and predicted."""
    stochastic_depth: bool = False
    """Compat: leave drop path active in the frozen encoder on training clips, as the original
    linear probing does."""
    batch_norm_drift: bool = False
    """Compat, mode=head on clips: BatchNorms of the frozen encoder use the statistics of each pass
    and drift with them, as in training code that freezes weights and nothing else. What is learnt
    then depends on ``training.micro_batch_size``."""
    tokens: str | None = None
    """head.kind=attentive: what is kept of a clip, ``time`` (a token per time step of the encoder)
    or ``4x4`` (4 x 4 of them per time step) and the like; empty = ``time``."""
    limit_gb: float = Field(default=20.0, gt=0)
    """Gigabytes of tokens beyond which nothing is encoded; a higher limit confirms them."""
    dtype: Literal["float16", "float32", "int8"] = "float16"
    """Type the features are stored in; ``int8`` has one scale per vector or token."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the encoder; ``auto`` = bfloat16 on CUDA, float32 elsewhere."""
    compile: bool = False
    """Compile the encoder with torch.compile (worth it on a GPU with many clips)."""
    batch_size: PositiveInt | None = None
    """Clips per forward pass; empty = chosen from the encoder and the device."""
    threads: PositiveInt | None = None
    """Decode threads; empty = chosen from the machine."""
    policy: Literal["raise", "skip", "partial"] = "skip"
    """A bad video ends the work, is left out and listed, or gives what can be decoded."""
    time_limit: float | None = Field(default=None, gt=0)
    """Seconds a video may take to decode before it counts as bad; empty = by its duration."""
    seed: int = 0
    """Seed of the random training views."""

    @field_validator("tokens")
    @classmethod
    def _names_tokens(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                side_of(value)
            except UsageError as e:
                raise ValueError(str(e)) from e
        return value


class HeadConfig(Config):
    """A classifier: softmax over classes, or with several labels a sigmoid for each."""

    kind: Literal["linear", "attentive"] = "linear"
    """``linear``: on one vector per clip. ``attentive``: mode=probe, on the tokens of each clip,
    which a learned query pools; of several columns each has its own."""
    attentive: AttentiveHeadConfig = AttentiveHeadConfig()
    """kind=attentive: the probe, and the grid it is chosen from."""
    column: str | tuple[str, ...] = "label"
    """Head column of the manifest that holds the classes; or several, e.g. ``[verb, noun]`` or
    ``verb,noun``: one linear layer each, the loss is the mean of theirs. The first leads where one
    has to."""
    class_weight: Literal["balanced", "none"] = "balanced"
    """``balanced``: each class weighs the same in the loss; ``none``: each event does."""
    multi_label: bool | None = None
    """Several labels per event; empty = when any event has several."""
    strengths: list[float] | None = None
    """mode=probe: L2 strengths to choose from; empty = the standard path of ``heads.linear``."""
    refit: bool = True
    """mode=probe: fit the final head on training and validation data with what was chosen."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """mode=head: share of the features that is dropped at random in training."""
    init_std: float = Field(default=0.01, ge=0)
    """mode=head: standard deviation of the normal initial weights; biases begin at 0."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """mode=head: share of each label that is spread over all classes (one label per event)."""
    calibrate: bool = True
    """mode=head: scale scores by a temperature found on data that was not learnt from. The
    published pipelines do not; it changes how probabilities of several views average."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns; the first is the primary one."""
        return (self.column,) if isinstance(self.column, str) else self.column

    @field_validator("column", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """Make ``verb,noun`` and lists a tuple of different names, and one name a string."""
        names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
            raise ValueError("a name or a list of names is expected, e.g. label or [verb, noun]")
        if not names or "" in names or len(set(names)) < len(names):
            raise ValueError("the names of columns must be there and differ from each other")
        return names[0] if len(names) == 1 else tuple(names)


class LoraConfig(Config):
    """mode=lora: low-rank adapters beside frozen layers (Hu et al., 2022)."""

    targets: Literal["qv", "qkv", "qkvo", "mlp", "all"] = "qv"
    """Layers of the attention blocks that get one: queries and values (``qv``), keys too, the
    output projection too; the two layers of the MLPs; or ``all`` of them. In an encoder without
    attention ``all`` means the convolutions of its blocks."""
    rank: PositiveInt = 8
    """Rank of the change an adapter can make."""
    alpha: float | None = Field(default=None, gt=0)
    """The change counts alpha / rank times; empty = the rank, that is once."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that is dropped at random in training."""
    stages: Literal["all", "first", "last"] = "all"
    """Stages of the encoder that get adapters."""
    original_init: bool = False
    """Compat: draw both factors from N(0, 0.02), as the original code does by accident, so that
    training begins with a changed encoder. Else one of them begins at 0."""


class ZeroShotConfig(Config):
    """mode=zero_shot: classes that are told in words (Radford et al., 2021)."""

    descriptions: str | dict[str, list[str]] | None = None
    """What each class looks like, in one text or several, e.g. ``{grooming: a rat licking its
    fur}``; or a CSV file with the columns ``label`` and ``description``."""
    templates: tuple[str, ...] = ("{}",)
    """Each description is put into each of these at ``{}``; the vectors are averaged."""

    @field_validator("descriptions", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """Make one text a list of one."""
        if not isinstance(value, dict):
            return value
        return {str(k): [v] if isinstance(v, str) else v for k, v in value.items()}

    @field_validator("templates")
    @classmethod
    def _take_a_text(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(template.count("{}") != 1 for template in value):
            raise ValueError(
                "each template has one place {} for a description, e.g. a video of {}."
            )
        return value


class EvaluationConfig(Config):
    """How scores become metrics."""

    average: Literal["prob", "score"] = "prob"
    """Mean over an event's views of probabilities, or of raw scores before the softmax."""
    bootstrap: int = Field(default=1000, ge=0)
    """Resamples of groups for the confidence intervals; 0 = none."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Coverage of the intervals."""
    unseen: Literal["refuse", "miss"] = "refuse"
    """Test labels that training has none of: ``refuse`` them, as they are often misspelt; or count
    each as a ``miss``, as data sets with a fixed list of classes do."""


class PredictConfig(Config):
    """How scores over time become events."""

    background: Literal["auto", "trained", "threshold", "none"] = "auto"
    """``trained``: a class of its own, from annotated gaps; ``threshold``: nothing happens where no
    class scores enough; ``auto``: trained if there are annotated gaps, else threshold."""
    background_label: str = "background"
    """Name of the class of nothing happening."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Probability below which nothing is said to happen; empty = calibrated in training."""
    smooth: float = Field(default=0.5, ge=0)
    """Standard deviation of the Gaussian that smooths scores over time, in seconds; 0 = none."""
    min_duration: float = Field(default=0.0, ge=0)
    """Shorter events are dropped, in seconds."""
    merge_gap: float = Field(default=0.0, ge=0)
    """Events of one class closer than this are joined, in seconds."""
    clip_factor: float = Field(default=2.0, ge=1)
    """A video without events counts as one clip up to this many times what a clip spans, or as long
    as the longest clip of training."""


class RecognitionRecipe(BaseRecipe):
    """A head on an encoder that is frozen, adapted or trained with it."""

    task: Literal["recognition"] = "recognition"
    """The task this recipe belongs to."""
    mode: Literal["probe", "head", "lora", "full", "layers", "zero_shot"] = "probe"
    """``probe``: fit the head on cached features, a linear one by a direct solver (L-BFGS).
    ``head``: train it by gradient descent, as the ``training`` section says. Others train the
    encoder with it: ``lora`` small adapters in it, ``full`` all of it, ``layers`` its last blocks.
    ``zero_shot``: learn nothing; classes are told in words, to an encoder that knows text."""
    layers: PositiveInt | None = None
    """mode=layers: how many of the encoder's last blocks are trained, with what lies between and
    behind them."""
    freeze_norms: bool = False
    """mode=full and layers: the encoder's normalisation layers stay as they are, their weights and
    what BatchNorm knows of the data. For small batches."""
    lora: LoraConfig = LoraConfig()
    """The adapters of mode=lora."""
    zero_shot: ZeroShotConfig = ZeroShotConfig()
    """The texts of mode=zero_shot."""
    inputs: Literal["clips", "features"] = "clips"
    """mode=head: learn from ``clips`` decoded on the fly, each event in another random view in each
    epoch (where ``clips.train.augment`` is set); or from ``features`` of ``augment`` stored views,
    taken in turn: epoch e sees view e mod augment."""
    name: str = "linear_probe"
    """Name of the recipe."""
    features: str | None = None
    """A feature store, or a folder of other people's features, to use instead of the encoder."""
    feature_options: dict[str, Any] = Field(default_factory=dict)
    """For other people's features: stride and window in frames, fps (or duration), array,
    transpose, prefix, suffix."""
    encoder: str = "starter"
    """Name from ``list encoders``, or ``module:fn``."""
    folds: int | None = Field(default=None, ge=2)
    """Cross-validate with this many grouped folds; empty = use the splits."""
    clips: FeaturesConfig = FeaturesConfig()
    """What the encoder is run on."""
    split: SplitConfig = SplitConfig()
    """Splits, where the manifest has none."""
    head: HeadConfig = HeadConfig()
    """The classifier."""
    training: TrainingConfig = TrainingConfig()
    """The loop of every mode but probe."""
    augment: AugmentConfig = AugmentConfig()
    """What is changed at random in training clips, on the training device."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Metrics."""
    predict: PredictConfig = PredictConfig()
    """Events from scores."""
    published: Published | None = None
    """What was reported for this setting."""

    @property
    def looped(self) -> bool:
        """Whether the loop trains it, as the ``training`` section says."""
        return self.mode not in ("probe", "zero_shot")

    @property
    def adapts(self) -> bool:
        """Whether the encoder, or a part of it, is trained as well."""
        return self.mode in ("lora", "full", "layers")

    @property
    def changes_encoder(self) -> bool:
        """Whether a run has an encoder of its own: a trained one, or one whose BatchNorms drift."""
        return self.adapts or self.clips.batch_norm_drift

    @property
    def attends(self) -> bool:
        """Whether the head looks at several tokens of each clip."""
        return self.head.kind == "attentive"

    @property
    def tokens(self) -> str | None:
        """Which tokens of a clip the head looks at; None = one vector."""
        return (self.clips.tokens or "time") if self.attends else None

    @model_validator(mode="after")
    def _fits_its_head(self) -> RecognitionRecipe:
        if self.attends and self.mode != "probe":
            raise ValueError(
                f"head.kind=attentive is fitted on stored tokens: mode=probe, not mode={self.mode}"
            )
        if self.clips.tokens and not self.attends:
            raise ValueError("clips.tokens are for head.kind=attentive; a linear head has no use")
        if self.attends and self.head.attentive.join_clips and self.features is None:
            if self.clips.rows != "events":
                raise ValueError("join_clips joins the clips of events: it needs clips.rows=events")
            for name in ("train", "val", "test"):
                views: ViewsConfig = getattr(self.clips, name)
                if views.augment % views.clips:
                    raise ValueError(
                        f"join_clips: clips.{name} has {views.augment} random views, which is no "
                        f"multiple of its {views.clips} clips"
                    )
        return self

    @model_validator(mode="after")
    def _fits_its_mode(self) -> RecognitionRecipe:
        if (self.mode == "layers") != (self.layers is not None):
            raise ValueError(
                f"mode={self.mode} and layers={self.layers} do not go together: mode=layers needs "
                "layers=N, other modes have none"
            )
        if self.adapts and (self.inputs == "features" or self.features is not None):
            raise ValueError(
                f"mode={self.mode} trains the encoder, so it learns from clips: leave out "
                "inputs=features and features="
            )
        if self.freeze_norms and self.mode not in ("full", "layers"):
            raise ValueError(
                f"freeze_norms says what mode=full and mode=layers leave alone; mode={self.mode} "
                "trains no layer of the encoder anyway"
            )
        if self.augment.active and (not self.looped or self.inputs == "features"):
            raise ValueError(
                "augment changes clips in each step of a training: it needs another mode than "
                "probe, and inputs=clips"
            )
        if self.mode == "zero_shot" and self.folds is not None:
            raise ValueError(
                "mode=zero_shot learns nothing, so there is nothing to fold: no folds="
            )
        drifts = self.clips.batch_norm_drift
        if drifts and (self.mode != "head" or self.inputs == "features" or self.features):
            raise ValueError(
                "clips.batch_norm_drift changes the frozen encoder with each training clip it "
                "sees: it needs mode=head and inputs=clips, without features="
            )
        return self
