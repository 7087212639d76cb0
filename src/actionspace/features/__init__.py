"""The feature store and the extraction that fills it."""
