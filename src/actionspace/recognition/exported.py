"""Predict with an exported file: it takes the place of encoder and head, all else stays as it is.

The file gives logits, so to the code that predicts they are the features, and the head that is put
on them changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from actionspace.encoders.spec import ClipSpec
from actionspace.errors import ConfigError, UsageError, WeightsError
from actionspace.features.store import VideoFeatures
from actionspace.paths import sha256_file
from actionspace.recognition.encode import Encoding
from actionspace.recognition.exported_session import Session, open_session
from actionspace.recognition.probe import Probe, read_probes
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.graph_files import SUFFIXES

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.features.foreign import Features


def is_exported(source: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this is the path of an exported file, by its ending; a folder is a run."""
    if not isinstance(source, (str, os.PathLike)):
        return False
    path = Path(source)
    return path.suffix.lower() in SUFFIXES.values() and not path.is_dir()


@dataclass(frozen=True)
class Exported:
    """An exported file, ready to predict with."""

    path: Path
    session: Session

    @classmethod
    def open(cls, path: str | os.PathLike[str], device: str = "auto") -> Exported:
        """Load a file; see :func:`.exported_session.open_session`."""
        return cls(Path(path), open_session(Path(path), device))

    @property
    def recipe(self) -> RecognitionRecipe:
        """What its run's recipe said of clips and events.

        Raises:
            WeightsError: it was written by another version.
        """
        from actionspace.config import parse

        try:
            recipe = parse(RecognitionRecipe, self.session.about["recipe"], str(self.path))
        except ConfigError as e:
            raise WeightsError(f"{e}. The file is of another version; export again.") from e
        exact = {"dtype": "float32", "precision": "float32", "compile": False}
        clips = recipe.clips.model_copy(update=exact)
        return recipe.model_copy(update={"clips": clips, "device": self.session.device})

    @property
    def probes(self) -> tuple[Probe, ...]:
        """Its labels and thresholds, on heads that pass their share of the logits through."""
        about = self.session.about
        _, width = _shape(about)
        pieces = np.split(np.eye(width, dtype=np.float32), np.cumsum(_sizes(about))[:-1])
        each = dict(zip(about["heads"], pieces, strict=True))
        return read_probes(about, lambda c: (each[c], np.zeros(len(each[c]), np.float32)))

    def encoding(
        self, recipe: RecognitionRecipe, features: Features | str | os.PathLike[str] | None
    ) -> Encoding:
        """Return where logits come from: videos, or for an exported head features of them.

        Raises:
            UsageError: features for a file that takes clips, or none for one that takes features.
        """
        about = self.session.about
        if about["part"] == "model":
            if features is not None:
                raise UsageError(
                    f"{self.path} takes clips, not features; leave features= out, or export the "
                    "run with --part head."
                )
            return Encoding(recipe, encoder=self._encoder())
        if features is None:
            raise UsageError(
                f"{self.path} is a head without its encoder ({about['encoder'].get('name')}); give "
                "features of these videos as features=, or export the run with --part model."
            )
        given = cast("Features", Encoding(recipe, features=features).given)
        return Encoding(recipe, features=cast("Features", Judged(given, self.session)))

    def _encoder(self) -> Encoder:
        from actionspace.recognition.exported_encoder import ExportedEncoder

        about = self.session.about
        encoder = ExportedEncoder(
            self.session.run,
            name=self.path.name,
            dim=_shape(about)[1],
            clip=_clip(about["preprocessing"]),
            licence=str(about["encoder"].get("licence", "")),
            weights_hash=sha256_file(self.path),
        )
        return encoder.to(self.session.device).eval()


class Judged:
    """Logits that an exported head makes of features, shaped like those features."""

    def __init__(self, source: Features, session: Session) -> None:
        self._source, self._run = source, session.run
        self.rows = source.rows
        self.fingerprint: dict[str, Any] = getattr(source, "fingerprint", {})
        self._takes, self.dim = _shape(session.about)
        self.videos: Callable[[], list[str]] = source.videos
        self.skipped: Callable[[], dict[str, str]] = source.skipped

    def __contains__(self, video: object) -> bool:
        return video in self._source

    def get(self, video: str) -> VideoFeatures:
        """Return the logits ``[N, C]`` or ``[N, V, C]`` of one video.

        Raises:
            WeightsError: its features are of another width than the head takes.
        """
        found = self._source.get(video)
        values = np.ascontiguousarray(found.features, np.float32)
        if values.shape[-1] != self._takes:
            raise WeightsError(
                f"Features have width {values.shape[-1]} but this head takes {self._takes}: use "
                "the encoder it was trained on."
            )
        logits = self._run(values.reshape(-1, self._takes))[0]
        return VideoFeatures(logits.reshape(*values.shape[:-1], -1), found.times, found.meta)


def _shape(about: dict[str, Any]) -> tuple[int, int]:
    return int(about["input"]["shape"][-1]), sum(_sizes(about))


def _sizes(about: dict[str, Any]) -> list[int]:
    """Return the number of classes of each head, in the order of the logits."""
    return [len(head["classes"]) for head in about["heads"].values()]


def _clip(preprocessing: dict[str, Any]) -> ClipSpec:
    """Return the clip a file takes; three crops are the recipe's to ask for."""
    known = {field.name: preprocessing[field.name] for field in fields(ClipSpec)}
    if known["geometry"] == "three":
        known["geometry"] = "center"
    return ClipSpec.from_dict(known)
