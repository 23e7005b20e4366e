"""From a fitted model to distributions, and to what people ask of them."""
