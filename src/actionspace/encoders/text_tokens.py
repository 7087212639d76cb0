"""Texts to numbers: the tokenizer that lies beside a model's weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import DataError, WeightsError
from actionspace.paths import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

#: Where a folder of transformers says which token fills a text up.
_FACTS = ("tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class TextTokens:
    """A tokenizer that makes every text equally long.

    Attributes:
        tokenizer: of the package ``tokenizers``.
        kind: the ``tokenizer_class`` its folder names, ``""`` if it names none.
        filling: the token that fills texts up.
    """

    tokenizer: Tokenizer
    kind: str
    filling: str

    @classmethod
    def load(cls, folder: Path) -> TextTokens:
        """Read ``tokenizer.json``, or CLIP's older ``vocab.json`` and ``merges.txt``.

        Raises:
            WeightsError: the files are missing or damaged; the message says which and where.
        """
        tokenizer, facts = _read(folder), _facts(folder)
        filling = facts.get("pad_token")
        if isinstance(filling, dict):
            filling = filling.get("content")
        if not isinstance(filling, str) or tokenizer.token_to_id(filling) is None:
            raise WeightsError(
                f"{folder} does not say which token fills texts up (its pad_token is {filling!r}). "
                f"Put the {' or '.join(_FACTS)} that was published with the model there."
            )
        return cls(tokenizer, str(facts.get("tokenizer_class") or ""), filling)

    def cut(self, length: int) -> TextTokens:
        """Make every text ``length`` tokens long from now on, filled up on the right."""
        number = self.tokenizer.token_to_id(self.filling)
        self.tokenizer.enable_truncation(length)
        self.tokenizer.enable_padding(
            direction="right", length=length, pad_id=number, pad_token=self.filling
        )
        return self

    def __call__(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return token numbers and which of them are not filling, int64 ``[N, L]`` each.

        What of a text is too long is not read, which is logged.
        """
        found = self.tokenizer.encode_batch(list(texts))
        for text, one in zip(texts, found, strict=True):
            if one.overflowing:
                log.warning(
                    f"'{text[:40]}...' is longer than the {len(one.ids)} tokens the model reads; "
                    "the end of it does not count."
                )
        ids = np.array([one.ids for one in found], np.int64)
        return ids, np.array([one.attention_mask for one in found], np.int64)


def _read(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        if (folder / "tokenizer.json").is_file():
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            from transformers import CLIPTokenizer

            older: Any = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            made: Tokenizer = older.backend_tokenizer
            return made
    except Exception as e:  # `tokenizers` raises nothing narrower
        raise WeightsError(f"The tokenizer in {folder} is damaged: {e}. Download it again.") from e
    raise WeightsError(
        f"{folder} has no tokenizer, without which a model reads no text. Put the tokenizer.json "
        "and tokenizer_config.json that were published with the model there (of CLIP, vocab.json "
        "and merges.txt will do)."
    )


def _facts(folder: Path) -> dict[str, Any]:
    """Return what the folder's files say of the tokenizer, the first file having the last word."""
    facts: dict[str, Any] = {}
    for name in reversed(_FACTS):
        if (folder / name).is_file():
            try:
                facts |= read_json(folder / name)
            except (DataError, TypeError) as e:
                raise WeightsError(f"{folder / name} is damaged: {e}. Download it again.") from e
    return facts
