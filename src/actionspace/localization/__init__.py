"""Localization: when does which action begin and end in an untrimmed video."""
