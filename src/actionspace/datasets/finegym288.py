"""FineGym with the 288 classes of Gym288; see :mod:`.finegym`."""

from __future__ import annotations

import functools

from actionspace.datasets import finegym

manifest = functools.partial(finegym.manifest, 288)
classes = functools.partial(finegym.classes, 288)
