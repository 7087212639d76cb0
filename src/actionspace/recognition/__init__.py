"""Clips to labels: probes, their evaluation and prediction."""
