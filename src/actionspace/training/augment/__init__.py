"""Augmentation of clip batches on the training device."""
