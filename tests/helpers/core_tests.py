"""What ``pytest -m core`` runs: quick files of every room, and a fit of each kind."""

CORE = [
    "test_layers.py",
    "test_mirror.py",
    "cli/test_files.py",
    "codecs/test_digits.py",
    "codecs/test_decimals.py",
    "codecs/test_grids.py",
    "codecs/test_symbol_values.py",
    "config/test_checks.py",
    "displays/test_coverage.py",
    "estimates/test_scaling.py",
    "estimates/test_stacking.py",
    "estimator/test_kinds.py",
    "integrations/test_masking.py",
    "lm/test_last_layer.py",
    "lm/test_number_rows.py",
    "metrics/test_scores.py",
    "memory/test_needs.py::test_the_parts_add_up_to_the_fit",
    "methods/test_functional.py",
    "methods/test_number_tokens.py",
    "methods/test_rewards.py",
    "numbers/test_distribution.py",
    "numbers/test_tree.py",
    "persistence/test_record.py",
    "prediction/test_uncertainty.py::test_each_is_what_the_distribution_says",
    "prompts/test_cell_encoder.py",
    "prompts/test_cell_prompts.py",
    "prompts/test_cells.py",
    "prompts/test_chat.py",
    "tables/test_booleans.py",
    "tables/test_cell_values.py",
    "tables/test_date_cells.py",
    "tables/test_date_orders.py",
    "tables/test_dates.py",
    "tables/test_number_texts.py",
    "tables/test_serialization.py",
    "tables/test_words.py",
    "training/test_clipping.py",
    "training/test_selection.py",
]


def is_core(nodeid):
    """Whether a test, by its name within tests/, is one of them."""
    return nodeid.split("::")[0] in CORE or nodeid.split("[")[0] in CORE
