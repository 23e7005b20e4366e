"""llmreg beside its peers, over real tables: ``python -m benchmarks.suite``."""
