"""Texts into the space of the clips: the other half of encoders that learnt pictures with words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from actionspace.encoders.text_models import TEXT_FAMILIES, spelling
from actionspace.encoders.text_tokens import TextTokens
from actionspace.errors import UsageError

BATCH = 64


class TextEncoder:
    """The text half of a model with its tokenizer; :mod:`.text_create` makes one.

    Attributes:
        name: of the encoder whose other half it is.
        scale: what cosines are multiplied by to be logits (the learnt temperature).
        bias: what is added to them; None where the model learnt to choose among texts (softmax),
            not to say yes or no to each (sigmoid).
        weights_hash: what the weights are, as the encoder of clips has it.
    """

    def __init__(
        self,
        model: Any,
        tokens: TextTokens,
        model_type: str,
        *,
        name: str,
        scale: float,
        bias: float | None,
        weights_hash: str,
    ) -> None:
        self.model = model
        self.name = name
        self.scale = scale
        self.bias = bias
        self.weights_hash = weights_hash
        self._tokens = tokens
        self._family = TEXT_FAMILIES[model_type]
        self._spell = spelling(model_type, tokens.kind)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its output, as JSON-ready values."""
        return {"encoder": self.name, "weights": self.weights_hash}

    def encode(self, texts: Sequence[str], batch_size: int = BATCH) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, float32 ``[N, D]``.

        Each text is spelt, cut into tokens and filled up as in the training of the model.

        Raises:
            UsageError: there is no text, or one has nothing in it that the model reads.
        """
        if isinstance(texts, str) or not texts:
            raise UsageError("Give one text or more, in a list.")
        spelt = [self._spell(text) for text in texts]
        for text, words in zip(texts, spelt, strict=True):
            if not words:
                raise UsageError(f"The text {text!r} says nothing; describe what is to be seen.")
        parts = [spelt[i : i + batch_size] for i in range(0, len(spelt), batch_size)]
        return np.concatenate([self._encode(part) for part in parts])

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        ids, seen = self._tokens(texts)
        device = next(self.model.parameters()).device
        inputs = {"input_ids": torch.from_numpy(ids).to(device)}
        if self._family.hides_filling:
            inputs["attention_mask"] = torch.from_numpy(seen).to(device)
        vectors: Tensor = self.model.get_text_features(**inputs).pooler_output
        unit = nn.functional.normalize(vectors.float(), dim=-1)
        return np.asarray(unit.cpu().numpy(), np.float32)
