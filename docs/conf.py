"""Sphinx settings of the site; docs/build.py writes the pages that are read here."""

import dataclasses
import inspect
import re

from docutils import nodes
from fastcore.docments import docments
from latex2mathml.converter import convert

ERROR = r"[A-Z]\w*Error"
# A docstring that begins so says what is done; any other one says what is returned.
DOES = {
    *("Call", "Do", "Draw", "Execute", "Find", "Forget", "Make", "Search", "Set", "Subtract", "Take", "Train", "Write"),
    *("Push", "Read", "Remember", "Rename", "Yield"),
}
# A definition at the beginning of a line of a library page's code, and an object's signature in the reference.
DEFINITION = re.compile(
    r'((?:(?<=\n)|(?<=<span></span>))<span class="k">(?:def|class)</span><span class="w"> </span><span class="n[fc]")>(\w+)<'
)
OBJECT = re.compile(
    r'(<dl class="py (?:function|class|exception)">\s*<dt class="sig sig-object py" id="clipforget\.[\w.]+\.(\w+)">.*?)(<a class="headerlink")',
    re.DOTALL,
)

project = "clipforget"
author = "clipforget contributors"
copyright = "clipforget contributors"  # Sphinx's own name
extensions = ["myst_nb", "sphinx.ext.autodoc"]
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


def described(app, what, name, obj, options, lines):
    """A docstring in nbdev's style as reStructuredText: what it returns, the comments beside its parameters or fields, and its errors are named lists."""
    text, *more = "\n".join(lines).partition("\n\nParameters:\n")[0].split("\n\n")
    sentences, errors = without_errors(text)
    told = []
    if what in ("function", "method") and inspect.isroutine(obj):
        told = returned(obj, sentences)
        sentences = [] if told and told[0].endswith(as_rst(" ".join(sentences))) else sentences
    parts = [" ".join(sentences)]
    for paragraph in more:
        kept, others = without_errors(paragraph)
        parts, errors = [*parts, " ".join(kept)], errors + others
    lines[:] = "\n\n".join(as_rst(part) for part in parts if part).split("\n")
    lines += ["", *told, *parameters(obj), *(f":raises {names}: {as_rst(when)}" for names, when in errors), ""]


def parameters(obj):
    """The comments beside parameters and fields as a list, and the help of the fields that have one."""
    if not (inspect.isfunction(obj) or dataclasses.is_dataclass(obj)):
        return []
    try:
        comments = docments(obj, full=False, returns=False)
    except (OSError, TypeError, SyntaxError):
        return []
    fields = dataclasses.fields(obj) if dataclasses.is_dataclass(obj) else ()
    told = {**comments, **{f.name: f.metadata["help"] for f in fields if "help" in f.metadata}}
    return [f":param {k}: {as_rst(v)}" for k, v in told.items() if v and k not in ("self", "return")]


def returned(obj, sentences):
    """What a function returns: its docstring, unless that begins with what the function does; then the type alone."""
    kind = inspect.signature(obj).return_annotation
    if kind in (None, "None", inspect.Signature.empty):
        return []
    kind = re.sub(r"\b(?:\w+\.)+", "", inspect.formatannotation(kind).strip("'\""))
    field = "yields" if "Iterator[" in kind else "returns"
    does = not sentences or sentences[0].partition(" ")[0].strip(",:") in DOES or kind == "Edit"
    return [f":{field}: {as_rst(kind if does else ' '.join(sentences))}"]


def without_errors(text):
    """The sentences of a paragraph, and (names, when) of every error that it tells of: "ValueError for an unknown name."."""
    sentences, errors = [], []
    for sentence in re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(text.split())):
        first, *others = re.split(rf"(?:;|(?<=[a-z]),) (?={ERROR} (?:where|if|for|unless|that|with)\b)", sentence)
        for clause in (first, *others):
            if found := re.match(rf"(?:Raises )?({ERROR}(?:(?:,| or) {ERROR})*),? (.*)", clause):
                errors.append((found[1], found[2].rstrip(".")))
            elif clause:
                sentences.append(clause if clause is sentence or clause.endswith(".") else clause + ".")
    return sentences, errors


def readable_defaults(app, what, name, obj, options, signature, returns):
    """A field that is made anew for each object has no default that Python could read: three dots stand for it, and types become links."""
    return (signature or "").replace("<factory>", "...") or signature, returns


def as_rst(text):
    """A comment or docstring as reStructuredText: signs are signs, what stands in backticks is code as it is written."""
    parts = re.split(r"`+([^`]+)`+", str(text))
    parts[::2] = [re.sub(r"([*|\\_`])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)


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
    """What no setting of the theme does: lighter heads, signatures that are lists, links from the reference to the cells of the library pages."""
    context["without_scripts"] = lambda html, names: re.sub(rf"<script[^>]*/?({names})\.js[^>]*></script>", "", html)
    body = context.get("body", "")
    if page.startswith("nbs/"):
        body = DEFINITION.sub(r'\1 id="source-\2">\2<', body)
    if library := (context.get("meta") or {}).get("library"):
        link = rf'<a class="source-link" href="../nbs/{library}.html#source-\2" title="the cell that defines and explains it">[source]</a>'
        body = OBJECT.sub(rf"\1{link}\3", body)
    # Sphinx writes a long signature as a <dl> without terms: say that it is a list, which it is
    if 'class="sig-param"' in body:
        body = re.sub(r"<dl>(\s*<dd><em class=\"sig-param\">)", r'<dl role="list">\1', body)
        body = body.replace('<dd><em class="sig-param">', '<dd role="listitem"><em class="sig-param">')
    if body:
        context["body"] = body


def setup(app):
    app.connect("html-page-context", finished_page)
    app.connect("autodoc-process-docstring", described)
    app.connect("autodoc-process-signature", readable_defaults)
    app.add_html_math_renderer("mathml", inline_renderers=(mathml(False), None), block_renderers=(mathml(True), None))
