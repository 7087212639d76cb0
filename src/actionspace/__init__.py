"""actionspace: understanding action in video."""

__version__ = "0.1.0"
