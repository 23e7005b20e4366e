"""The training loop: steps, stages, which weights are kept, checkpoints, processes."""
