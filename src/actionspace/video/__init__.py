"""Inspect, decode, sweep, sample, transform and write video. Knows nothing of events."""
