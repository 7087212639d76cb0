"""FineGym with the 99 classes of Gym99; see :mod:`.finegym`."""

from __future__ import annotations

import functools

from actionspace.datasets import finegym

manifest = functools.partial(finegym.manifest, 99)
classes = functools.partial(finegym.classes, 99)
