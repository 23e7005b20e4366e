"""What simple regressors say of a row: fitted, stacked, as cells and as distributions."""
