"""Seconds and memory, beside bare passes and beside peers."""
