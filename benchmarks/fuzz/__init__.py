"""Hostile tables, fitted and predicted: ``python -m benchmarks.fuzz``."""
