"""Measures shared by tasks: classification, frame-wise, intervals."""
