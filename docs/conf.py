"""Sphinx settings of the site; docs/build.py writes the pages that are read here."""

import dataclasses
import inspect
import re

from docutils import nodes
from latex2mathml.converter import convert

project = "clipforget"
author = "clipforget contributors"
copyright = "clipforget contributors"  # Sphinx's own name
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "sphinx_book_theme"
html_title = "clipforget"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["boxes.js", "explorer.js"]
templates_path = ["_templates"]
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": False,
    "home_page_in_toc": True,
}
html_context = {"default_mode": "auto"}  # the theme's script complains of an empty one
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
nb_code_prompt_show = "Show imports"
nb_code_prompt_hide = "Hide imports"
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}  # no scripts from elsewhere
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
toc_object_entries = False
napoleon_google_docstring = False
napoleon_use_rtype = False
default_role = "code"  # what stands between single backticks in a docstring


def declared(app, what, name, obj, options, lines):
    """A declared setting says itself what it means: its help joins the docstring of its class."""
    fields = dataclasses.fields(obj) if inspect.isclass(obj) and dataclasses.is_dataclass(obj) else ()
    lines += ["", *(f":param {f.name}: {f.metadata['help']}" for f in fields if "help" in f.metadata), ""]


def readable_defaults(app, what, name, obj, options, signature, returns):
    """A field that is made anew for each object has no default that Python could read: three dots stand for it, and types become links."""
    return (signature or "").replace("<factory>", "...") or signature, returns


def mathml(block):
    """A visitor that writes a formula as MathML, which browsers draw without any script."""

    def visit(self, node: nodes.Element) -> None:
        written = convert(node.astext(), display="block" if block else "inline")
        self.body.append(
            f'<div class="formula" tabindex="0" role="group" aria-label="formula">{written}</div>' if block else written
        )
        raise nodes.SkipNode

    return visit


def finished_page(app, page, template, context, doctree):
    """What no setting of the theme does: lighter heads, and signatures that are lists."""
    context["without_scripts"] = lambda html, names: re.sub(rf"<script[^>]*/?({names})\.js[^>]*></script>", "", html)
    body = context.get("body", "")
    # Sphinx writes a long signature as a <dl> without terms: say that it is a list, which it is
    if 'class="sig-param"' in body:
        body = re.sub(r"<dl>(\s*<dd><em class=\"sig-param\">)", r'<dl role="list">\1', body)
        body = body.replace('<dd><em class="sig-param">', '<dd role="listitem"><em class="sig-param">')
    if body:
        context["body"] = body


def setup(app):
    app.connect("html-page-context", finished_page)
    app.connect("autodoc-process-docstring", declared)
    app.connect("autodoc-process-signature", readable_defaults)
    app.add_html_math_renderer("mathml", inline_renderers=(mathml(False), None), block_renderers=(mathml(True), None))
