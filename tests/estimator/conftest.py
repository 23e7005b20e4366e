"""One fit that most tests of the estimator look at."""

import pytest


@pytest.fixture(scope="session")
def fitted(table, quick_fit):
    """Read-only: tests that change it must copy it."""
    return quick_fit(table.X, table.y)


@pytest.fixture(scope="session")
def predictions(fitted, table):
    return fitted.predict(table.X)
