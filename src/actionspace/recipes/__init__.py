"""Recipes: one YAML file per published or recommended setting, checked against typed models."""
