"""What the packaging promises: tested pins, types, whole archives, a light import, README."""

import email
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import llmreg

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


@pytest.mark.parametrize("group", ["runtime", "docs", "examples", "ecosystem", "test"])
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


def test_pyright_says_the_same_of_both(tmp_path):
    pytest.importorskip("basedpyright", reason="basedpyright is in the extra 'dev'")
    scripts = [ROOT / "tests" / "helpers" / "typed_script.py", tmp_path / "wrong.py"]
    scripts[1].write_text(WRONG, encoding="utf-8")
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps({
        "include": [*map(str, scripts)], "extraPaths": [str(ROOT)], "typeCheckingMode": "standard",
    }), encoding="utf-8")  # fmt: skip
    command = ["-m", "basedpyright", "-p", settings, "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120)
    said = json.loads(done.stdout)
    assert said["summary"]["filesAnalyzed"] == 2, done.stderr
    errors = [e for e in said["generalDiagnostics"] if e["severity"] == "error"]
    assert {Path(e["file"]).name for e in errors} == {"wrong.py"}, errors
    lines = {e["range"]["start"]["line"] + 1 for e in errors}
    assert lines == set(range(3, WRONG.count("\n") + 1)), errors


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source archive, and the wheel that is built from it, with the tools at hand."""
    pytest.importorskip("setuptools", minversion="77.0.3")
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "dist"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    shutil.copytree(
        ROOT / "llmreg", source / "llmreg", ignore=shutil.ignore_patterns("__pycache__")
    )
    build = "import sys; from setuptools.build_meta import *; {}(sys.argv[1])"
    for step in ("build_sdist", "build_wheel"):
        command = [sys.executable, "-c", build.format(step), out]
        subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
        if step == "build_sdist":
            [archive] = out.glob("*.tar.gz")
            with tarfile.open(archive) as file:
                file.extractall(out, filter="data")
            source = out / archive.name.removesuffix(".tar.gz")
    return archive, next(out.glob("*.whl"))


def test_what_is_built_is_this_version_and_whole(built):
    archive, wheel = built
    version = PYPROJECT["project"]["version"]
    assert version == llmreg.__version__ and not Version(version).is_prerelease
    assert archive.name == f"llmreg-{version}.tar.gz"
    assert wheel.name == f"llmreg-{version}-py3-none-any.whl"
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = {f"llmreg/{path.relative_to(ROOT / 'llmreg').as_posix()}"
            for path in (ROOT / "llmreg").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    assert {name for name in packed if not name.startswith("llmreg-")} == ours
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert ours | {"CHANGELOG.md", "CITATION.cff", "LICENSE", "constraints.txt"} <= names


def test_the_wheel_says_what_a_package_index_shows(built):
    with zipfile.ZipFile(built[1]) as wheel:
        [folder] = {name.split("/")[0] for name in wheel.namelist() if "dist-info" in name}
        metadata = email.message_from_string(wheel.read(f"{folder}/METADATA").decode())
        scripts = wheel.read(f"{folder}/entry_points.txt").decode()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert set(metadata.get_all("Provides-Extra")) == set(EXTRAS)
    assert "llmreg = llmreg.cli.main:main" in scripts


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
