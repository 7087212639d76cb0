"""Annotation formats, one file each.

A format module has ``ROWS`` and ``VIDEOS`` (the columns it carries), ``matches(path)`` for telling
it from others, ``read(path, root, **options)`` and, where it can be written, ``write(events,
path)``. Formats other than the manifest number the events anew and return them grouped by video.
"""
