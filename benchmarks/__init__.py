"""What stands behind the figures in docs/: each command is run from the root of a checkout."""
