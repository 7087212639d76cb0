"""Run and predictions folders."""
