"""Fitted models as pickles and as folders without pickle."""
