"""The models that learnt pictures or clips together with texts, and how each reads a text.

The networks are those of transformers. What lies around them is here: how a text is spelt before it
is cut into tokens, whether filling tokens are hidden, and what a cosine is multiplied by. Nothing
here imports torch or transformers.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TextFamily:
    """How one kind of model reads.

    Attributes:
        hides_filling: whether attention leaves out the tokens that fill a text up.
        scale: cosines are multiplied by it where the model has no ``logit_scale``.
    """

    hides_filling: bool
    scale: float = 1.0


#: By the ``model_type`` of a config.json. SigLIP was trained to see filling tokens, which is why
#: nothing hides them; VideoPrism's files have no temperature: 0.01 is what its authors' own
#: demonstration of zero-shot classification divides by.
TEXT_FAMILIES = {
    "clip": TextFamily(hides_filling=True),
    "siglip": TextFamily(hides_filling=False),
    "siglip2": TextFamily(hides_filling=False),
    "videoprism": TextFamily(hides_filling=True, scale=100.0),
}


def spelling(model_type: str, tokenizer: str) -> Callable[[str], str]:
    """Return how a text is written before it is tokenized, as in the training of the model.

    Args:
        model_type: of the config.json.
        tokenizer: class of its tokenizer: fixed-size SigLIP 2 calls itself ``siglip``, but reads
            with Gemma's.
    """
    if model_type == "clip":
        return str.strip  # its tokenizer does the rest
    if model_type == "videoprism":
        return _sentence
    second = model_type == "siglip2" or tokenizer.startswith(("Gemma", "Siglip2"))
    return _lower if second else _bare


def _lower(text: str) -> str:
    """SigLIP 2: lower case."""
    return text.strip().lower()


def _bare(text: str) -> str:
    """SigLIP: lower case without punctuation, words one space apart."""
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


def _sentence(text: str) -> str:
    """VideoPrism: lower case, spaces for punctuation, a full stop at the end."""
    marks = str.maketrans(string.punctuation, " " * len(string.punctuation))
    words = " ".join(text.translate(marks).lower().split())
    return f"{words}." if words else ""
