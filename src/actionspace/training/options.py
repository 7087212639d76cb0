"""The typed options of the trainer: the ``training`` section of every recipe that is looped."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from actionspace.config import Config
from actionspace.training.optimizers import OptimizerConfig
from actionspace.training.schedules import ScheduleConfig


class EMAConfig(Config):
    """An exponential moving average of the weights (Polyak & Juditsky, 1992)."""

    decay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the average that stays at each step, e.g. 0.999; 0 = no average is kept."""
    evaluate: bool = True
    """Evaluate and keep the averaged weights instead of the raw ones."""


class CheckpointConfig(Config):
    """What is kept while training, beside the state that ``--resume`` goes on from."""

    every_epochs: PositiveInt | None = None
    """Keep the weights of every n-th epoch in ``checkpoints/``; empty = the best only."""
    minutes: float = Field(default=10.0, ge=0)
    """Save the state at least this often within an epoch, in minutes; 0 = after each step."""
    keep: Literal["best", "last"] = "best"
    """Whose weights the run ends with: those of the best evaluation, or of the last epoch."""
    metric: str | None = None
    """Validation metric that says what is best; empty = the task's first."""
    mode: Literal["max", "min"] = "max"
    """Whether a larger or a smaller value of it is better."""


class TrainingConfig(Config):
    """The loop: how long, how many samples per step, how precise, what is recorded."""

    epochs: PositiveInt = 30
    """Passes over the training samples, warm-up included."""
    batch_size: PositiveInt = 64
    """Samples per optimiser step, over all processes and accumulation: what is learnt does not
    depend on the number of devices."""
    micro_batch_size: PositiveInt | None = None
    """Samples per forward pass on one device; empty = chosen from the device. Smaller needs less
    memory and gives the same result."""
    drop_last: bool = False
    """Leave out the samples that do not fill the last step of an epoch."""
    shuffle: bool = True
    """Draw a new order in each epoch, a function of seed and epoch."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """What turns gradients into steps."""
    schedule: ScheduleConfig = ScheduleConfig()
    """The learning rate over time."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest L2 norm of all gradients together; empty = they are not clipped."""
    ema: EMAConfig = EMAConfig()
    """Average of the weights."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic; ``auto`` = bfloat16 on CUDA where it is native, else float32."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    compile: bool = False
    """Compile the model with torch.compile."""
    sync_batchnorm: bool = False
    """Share batch statistics between processes (BatchNorm only, and on GPUs only)."""
    seed: int = 0
    """Seed of initial weights, order, augmentation and dropout."""
    deterministic: bool = False
    """Ask PyTorch for deterministic kernels (slower on a GPU; the CPU's always are)."""
    evaluate_every: PositiveInt = 1
    """Evaluate on the validation split after every n-th epoch, and after the last."""
    early_stop: PositiveInt | None = None
    """Stop after this many evaluations without a better one; empty = never."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """What is kept."""
    log_every: PositiveInt = 20
    """Steps between two lines of ``metrics.csv``."""
    tensorboard: bool = True
    """Write ``tensorboard/``."""
    wandb: str | None = None
    """Project of Weights & Biases to log to as well (``pip install actionspace[wandb]``)."""
    workers: int | None = Field(default=None, ge=0)
    """Threads that prepare samples; empty = chosen from the machine, 0 = none."""
    policy: Literal["raise", "skip"] = "skip"
    """A sample that cannot be read ends the training, or is left out and listed."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds after which a process that does not answer ends the training of all."""
