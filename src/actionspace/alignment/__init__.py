"""Alignment: which moment of one video matches which of another (CARL and its family)."""
