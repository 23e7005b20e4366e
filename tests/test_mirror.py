"""The tests of a module are found by its name: llmreg/room/name.py has tests/room/test_name.py."""

from pathlib import Path

import pytest
from core_tests import CORE

import llmreg

PACKAGE, TESTS = Path(llmreg.__file__).parent, Path(__file__).parent

# Modules that are tested elsewhere: {module: file of tests}, for as long as they are.
ELSEWHERE = {
    "__main__.py": "cli/test_main.py",
    "cli/commands.py": "cli/test_main.py",
    "config/reasons.py": "config/test_plan.py",
    "config/resolve.py": "config/test_plan.py",
    "integrations/autologging.py": "integrations/test_tracking.py",
    "lm/building.py": "lm/test_backbone.py",
    "lm/loading/errors.py": "lm/loading/test_hub.py",
    "lm/modes.py": "lm/test_recompute.py",
    "lm/packing.py": "persistence/test_pickling.py",
    "lm/parts.py": "methods/test_heads.py",
    "lm/readout.py": "lm/test_backbone.py",
    "lm/stored.py": "persistence/test_saving.py",
    "lm/tiny.py": "lm/loading/test_base.py",
    "memory/quantised.py": "memory/test_needs.py",
    "memory/virtual_fit.py": "memory/test_needs.py",
    "memory/virtual_model.py": "memory/test_needs.py",
    "methods/base.py": "methods/test_methods.py",
    "methods/histogram.py": "methods/test_heads.py",
    "methods/learnable_raft.py": "methods/test_heads.py",
    "methods/new_tokens.py": "methods/test_heads.py",
    "methods/parts.py": "methods/test_adding.py",
    "methods/token_level.py": "methods/test_methods.py",
    "methods/untrained.py": "methods/test_zero_shot.py",
    "methods/vocabulary_shares.py": "methods/test_heads.py",
    "numbers/histogram_cells.py": "numbers/test_distribution.py",
    "numbers/trie.py": "numbers/test_tree.py",
    "persistence/configs.py": "persistence/test_security.py",
    "persistence/folders.py": "persistence/test_saving.py",
    "persistence/model_files.py": "persistence/test_saving.py",
    "persistence/saved_folder.py": "persistence/test_saving.py",
    "persistence/schema.py": "persistence/test_security.py",
    "persistence/tokenizer_files.py": "persistence/test_saving.py",
    "prompts/segments.py": "prompts/test_text_prompts.py",
    "prediction/predictions.py": "estimator/test_predictions.py",
    "prompts/tiny_tokenizer.py": "prompts/test_cell_prompts.py",
    "tables/cell_writing.py": "tables/test_serialization.py",
    "tables/kinds.py": "tables/test_columns.py",
    "tables/rows.py": "tables/test_serialization.py",
    "training/interruptions.py": "training/test_sequence.py",
    "version.py": "test_packaging.py",
}


def untested(package, tests, elsewhere=()):
    """Modules of a package, as paths within it, that have no file (or folder) of tests."""
    modules = (path.relative_to(package) for path in package.rglob("*.py"))
    return sorted(
        path.as_posix()
        for path in modules
        if path.name != "__init__.py"
        and path.as_posix() not in elsewhere
        and not (tests / path.parent / f"test_{path.name}").is_file()
        and not any((tests / path.with_suffix("")).glob("test_*.py"))
    )


def test_every_module_has_its_tests():
    found = untested(PACKAGE, TESTS, ELSEWHERE)
    assert not found, f"{found}: add tests/<room>/test_<name>.py, or say in ELSEWHERE what tests it"


def test_the_list_says_what_is():
    assert set(ELSEWHERE) <= set(untested(PACKAGE, TESTS)), "take from it what has its own file"
    gone = [file for file in ELSEWHERE.values() if not (TESTS / file).is_file()]
    assert not gone, f"{gone} are not there: say which files test the modules now"


def test_the_core_has_tests_of_every_room():
    for test in CORE:
        file, _, name = test.partition("::")
        assert f"def {name}" in (TESTS / file).read_text(encoding="utf-8"), test
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"estimator"}
    assert rooms <= {test.split("/")[0] for test in CORE}


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("tests/room/test_old.py", ["room/new.py"]),
        ("tests/room/test_new.py", []),
        ("tests/room/new/test_part.py", []),
        ("tests/test_new.py", ["room/new.py"]),
    ],
)
def test_a_module_without_tests_is_seen(file, found, tmp_path):
    for path in (tmp_path / "package" / "room" / "new.py", tmp_path / file):
        path.parent.mkdir(parents=True)
        path.touch()
    assert untested(tmp_path / "package", tmp_path / "tests") == found
