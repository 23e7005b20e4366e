"""What the packaging promises: one ruff, tested pins, a light import, README's two commands."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


def requirements(lines):
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def test_ruff_has_one_version():
    pinned = PYPROJECT["tool"]["ruff"]["required-version"]
    assert re.fullmatch(r"==\d+\.\d+\.\d+", pinned)
    assert str(requirements(EXTRAS["dev"])["ruff"]) == pinned
    config = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (revision,) = re.findall(r"ruff-pre-commit\s+rev:\s*v(\S+)", config)
    assert f"=={revision}" == pinned


@pytest.mark.parametrize("group", ["runtime", "docs", "examples", "test"])
def test_constraints_pin_every_dependency_within_its_range(group):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = requirements(line for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"==[\w.]+", str(pin)) for pin in pins.values())
    declared = PYPROJECT["project"]["dependencies"] if group == "runtime" else EXTRAS[group]
    for name, accepted in requirements(declared).items():
        assert name in pins, f"constraints.txt does not pin {name}"
        version = str(pins[name]).removeprefix("==")
        assert accepted.contains(version), f"{name} {version} is outside {accepted}"


def test_files_that_are_promised_to_the_wheel_are_there():
    for pattern in PYPROJECT["tool"]["setuptools"]["package-data"]["llmreg"]:
        if "*" not in pattern:
            assert (ROOT / "llmreg" / pattern).is_file(), pattern


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """``mypy(*arguments)``: what mypy says, strictly, and its exit status."""
    api = pytest.importorskip("mypy.api", reason="mypy is in the extra 'test'")
    cache = tmp_path_factory.mktemp("mypy")
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache)]

    def run(*arguments):
        out, errors, status = api.run([*settings, *arguments])
        return out + errors, status

    return run


def test_a_typed_script_is_accepted(mypy):
    said, status = mypy(str(ROOT / "tests" / "helpers" / "typed_script.py"))
    assert status == 0, said


WRONG = """
from llmreg import GRPO, LLMRegressor, QuantileView, get_scorer
model = LLMRegressor(fit_method=3)
model.fit([[1.0]], [2.0]).predict([[1.0]], decoding=5)
model.predict([[1.0]], quantile=0.5)
model.predict_interval([[1.0]]).width
model.predict_distribution([[1.0]]).crps()
GRPO(beta="much")
QuantileView(model, "half")
get_scorer("neg_crps", quantile="low")
"""


def test_a_wrong_script_is_not(mypy):
    said, _ = mypy("-c", WRONG)
    lines = {int(line) for line in re.findall(r"^<string>:(\d+): error", said, re.MULTILINE)}
    assert lines == set(range(3, WRONG.count("\n") + 1)), said


def test_readme_reads_the_same_on_a_package_index():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", text, re.M)[1] == PYPROJECT["project"]["version"]


# Loading these takes seconds, which a program that only builds, clones or prints an estimator
# should not have to wait for.
LIGHT = """
import sys
import llmreg
{statements}
print(*sorted({{"torch", "transformers", "peft", "matplotlib"}} & set(sys.modules)))
"""
ESTIMATORS = """
from sklearn.base import clone
for fit_method in ("ce", llmreg.GRPO()):
    model = clone(llmreg.LLMRegressor(fit_method=fit_method))
    repr(model), model._repr_html_(), model.get_params()
for part in (llmreg.RowSerializer(), llmreg.DigitCodec()):
    repr(clone(part))
"""


@pytest.mark.parametrize("statements", ["", ESTIMATORS], ids=["import", "build, clone, print"])
def test_the_heavy_libraries_load_late(statements):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(statements=statements)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def readme_command(path, name):
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "readme_commands.py", path, name],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "program"), [("quickstart", "examples/quickstart.py"), ("tests", "-m pytest")]
)
def test_readme_gives_the_commands_that_ci_runs(name, program):
    done = readme_command(ROOT / "README.md", name)
    assert done.returncode == 0, done.stderr
    assert "pip install -c constraints.txt" in done.stdout
    assert program in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing here\n", "no command is marked"),
        ("<!-- command: run -->\ntext\n```bash\nls\n```\n", "directly follows"),
        ("<!-- command: run -->\n```python\nls\n```\n", "directly follows"),
        ("<!-- command: run -->\n", "directly follows"),
        ("<!-- command: run -->\n```bash\nls\n", "never closed"),
        ("<!-- command: run -->\n```bash\n\n```\n", "empty"),
        ("<!-- command: run -->\n```bash\nls\n```\n" * 2, "marked twice"),
    ],
)
def test_a_readme_without_a_clear_command_is_refused(text, message, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    done = readme_command(path, "run")
    assert done.returncode != 0
    assert message in done.stderr


def test_a_command_may_span_lines(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(
        "<!-- command: run -->\n\n```bash\nls\n\npwd\n```\n\n```bash\nexit 1\n```\n",
        encoding="utf-8",
    )
    assert readme_command(path, "run").stdout == "ls\n\npwd\n"
