"""actionspace: understanding action in video.

Encode a video once into an action space, then ask it any question. The verbs of the command line
are the functions here; everything is imported when first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actionspace.api import (
        Model,
        align,
        calibrate,
        check,
        compute_adaptive_ranges,
        convert,
        doctor,
        embed,
        evaluate,
        export,
        extract,
        fuse,
        inspect,
        list_things,
        load,
        predict,
        prepare,
        probe,
        read_events,
        report,
        search,
        split,
        submit,
        summary,
        train,
        validate_config,
        write_events,
    )
    from actionspace.events.constraints import TemporalConstraints
    from actionspace.events.table import Events

__version__ = "0.1.0"

__all__ = [
    "Events",
    "Model",
    "TemporalConstraints",
    "__version__",
    "align",
    "calibrate",
    "check",
    "compute_adaptive_ranges",
    "convert",
    "doctor",
    "embed",
    "evaluate",
    "export",
    "extract",
    "fuse",
    "inspect",
    "list_things",
    "load",
    "predict",
    "prepare",
    "probe",
    "read_events",
    "report",
    "search",
    "split",
    "submit",
    "summary",
    "train",
    "validate_config",
    "write_events",
]


def __getattr__(name: str) -> Any:
    if name == "Events":
        from actionspace.events.table import Events

        return Events
    if name == "TemporalConstraints":
        from actionspace.events.constraints import TemporalConstraints

        return TemporalConstraints
    if name in __all__:
        from actionspace import api

        return getattr(api, name)
    raise AttributeError(f"module 'actionspace' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps the verbs ``report``, ``search`` and ``doctor``, which have the names of modules.

    Importing a submodule binds it to its name in the package; a verb of that name would be lost.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
