"""Sphinx: Markdown by MyST, the furo theme, and a reference written from the code."""

import logging
import os
import sys
from pathlib import Path

os.environ.update(TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1", HF_HUB_OFFLINE="1")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import vesalius

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it looks for kernels nobody needs

project = "Vesalius"
author = "The Vesalius authors"
project_copyright = author
version = release = vesalius.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "vesalius_docs"]
exclude_patterns = ["_build", "reference/_cli"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

smartquotes = False

html_theme = "furo"
html_title = "Vesalius"
html_static_path = ["_static"]
html_css_files = ["vesalius.css"]
html_favicon = "_static/favicon.svg"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_logo": "logo-light.svg",
    "dark_logo": "logo-dark.svg",
    "footer_icons": [],
    "light_css_variables": {
        "color-brand-primary": "#0f6b66",
        "color-brand-content": "#0f6b66",
        "color-brand-visited": "#0f6b66",
    },
    "dark_css_variables": {
        "color-brand-primary": "#66c5ba",
        "color-brand-content": "#66c5ba",
        "color-brand-visited": "#66c5ba",
    },
}
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True


def _skip(*event):
    """Leave out what every pydantic class inherits."""
    _, _, name, _, skip, _ = event
    return True if name.startswith("model_") else skip


def _readable(*event):
    """Defaults made by a factory have no syntax; without one, types are not shortened."""
    *_, signature, returns = event
    return signature and signature.replace("<factory>", "..."), returns


def setup(app):
    app.connect("autodoc-process-signature", _readable)
    app.connect("autodoc-skip-member", _skip)
