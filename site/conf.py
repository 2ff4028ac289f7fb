"""Settings of Sphinx for the readable site; build.py runs it."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

project = "Transfer learning for image classification"
html_title = "Transfer learning"
language = "en"
extensions = ["myst_nb"]
nb_execution_mode = "off"  # the site shows what the stored notebooks show
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # a notebook's own commands (!, %) in a block of Python
html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}
html_theme_options = {"use_download_button": False, "use_fullscreen_button": False, "navbar_persistent": []}
html_static_path = ["static"]
html_favicon = "static/icon.svg"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_math_renderer = "mathml"


def setup(app) -> None:
    """Formulas as MathML, which browsers draw themselves: Sphinx's own way fetches a script from another host."""

    def show(block: bool):
        def visit(writer, node):
            writer.body.append(tex2mathml(node.astext(), as_block=block))
            raise SkipNode

        return visit, None

    app.add_html_math_renderer("mathml", inline_renderers=show(False), block_renderers=show(True))
