"""The two tables, the annotation formats, splits and post-processing. Knows nothing of video."""
