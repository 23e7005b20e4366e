"""The language model: loading, adapters, and the forward passes over prompts and number trees."""
