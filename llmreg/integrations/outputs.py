"""What scikit-learn's transformers return inside the library: arrays, whatever its user has set."""

from sklearn import config_context

__all__ = ["as_arrays"]

# Decorates what calls transformers. ``sklearn.set_config(transform_output="pandas")`` is meant for
# those of the user: frames compute other standard deviations, and have no place in a fitted model.
as_arrays = config_context(transform_output="default")
