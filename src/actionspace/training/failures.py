"""What goes wrong while training, said so that one knows what to do."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from actionspace.errors import RunError

NAMED = 8  # files of a batch that a message names


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of PyTorch means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text)


def out_of_memory(device: torch.device, micro_batch_size: int) -> RunError:
    """Return the error that says what to lower."""
    first = (
        f"training.micro_batch_size={max(1, micro_batch_size // 2)} (now {micro_batch_size}; the "
        "result stays the same)"
        if micro_batch_size > 1
        else "the number of frames or the size of a clip (a forward pass has one sample already)"
    )
    return RunError(
        f"The memory of {device} is full. Lower {first}, or set "
        f"training.activation_checkpointing=true or training.precision=bfloat16."
    )


def not_finite(step: int, names: Sequence[str]) -> RunError:
    """Return the error for a loss that is NaN or infinite, with the samples it was computed on."""
    shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return RunError(
        f"The loss of step {step} is not a finite number. Its samples: {shown}. Look at them, "
        "lower training.optimizer.lr, or set training.clip_norm."
    )
