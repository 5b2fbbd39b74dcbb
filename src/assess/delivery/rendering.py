"""Markdown to HTML that is safe to show: the one place where content becomes markup."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import nh3
from markdown_it import MarkdownIt

from assess.items import Item, Matching, MultipleResponse, Ordering, SingleChoice
from assess.session import Release

_MATHML = {
    "math", "annotation", "menclose", "merror", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover",
    "mpadded", "mphantom", "mprescripts", "mroot", "mrow", "ms", "mspace", "msqrt", "mstyle", "msub",
    "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover", "semantics",
}  # fmt: skip
_MATH_ATTRIBUTES = {
    "display",
    "dir",
    "mathvariant",
    "stretchy",
    "fence",
    "separator",
    "accent",
    "linethickness",
}
_HTML = {
    "a", "abbr", "b", "bdi", "bdo", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd",
    "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h3", "h4", "h5", "h6", "hr", "i", "img",
    "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strong", "sub", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "var",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"lang", "dir"},
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height", "title"},
    "ol": {"start", "type"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    **{name: set(_MATH_ATTRIBUTES) for name in _MATHML},
}
_CACHE_SIZE = 4096


def _parser() -> MarkdownIt:
    # Authors write MathML as HTML inside Markdown; whatever else they write, nh3 has the last word.
    return MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")


@dataclass(frozen=True, slots=True, eq=False)
class ItemHtml:
    """The words of an item in one language as HTML, in the order of the item; made once."""

    language: str
    stem: str
    options: tuple[tuple[str, str], ...] | None
    targets: tuple[tuple[str, str], ...] | None
    stimulus: str | None


class Renderer:
    """Turns content into HTML once, and keeps what was asked for last.

    Examples
    --------
    >>> Renderer().block("Two *words*<script>alert(1)</script>")
    '<p>Two <em>words</em></p>'
    >>> Renderer().inline("`a` or **b**")
    '<code>a</code> or <strong>b</strong>'
    """

    def __init__(self) -> None:
        self._markdown = _parser()
        self._items: OrderedDict[tuple[str, str, str], ItemHtml] = OrderedDict()

    def block(self, text: str) -> str:
        """Markdown with paragraphs as HTML."""
        return _clean(self._markdown.render(text)).strip()

    def inline(self, text: str) -> str:
        """Markdown as HTML without the paragraph around it, unless it has several blocks."""
        html = self.block(text)
        inner = html.removeprefix("<p>").removesuffix("</p>")
        return inner if html.startswith("<p>") and html.endswith("</p>") and "<p>" not in inner else html

    def item(self, release: Release, item: Item, language: str) -> ItemHtml:
        """An item in a language, with the stimulus of its case set."""
        key = (release.sha256, item.reference, language)
        found = self._items.get(key)
        if found is None:
            found = self._render(release, item, language)
            self._items[key] = found
            if len(self._items) > _CACHE_SIZE:
                self._items.popitem(last=False)
        else:
            self._items.move_to_end(key)
        return found

    def _render(self, release: Release, item: Item, language: str) -> ItemHtml:
        found, text = item.text(language)
        options = targets = None
        match item.interaction:
            case SingleChoice() | MultipleResponse() | Ordering() | Matching():
                options = tuple((o, self.inline(text.options[o])) for o in item.interaction.options)
        if isinstance(item.interaction, Matching):
            targets = tuple((t, self.inline(text.targets[t])) for t in item.interaction.targets)
        stimulus = None
        if item.reference in release.unit_of:
            case_set = release.units[release.unit_of[item.reference]].case_set
            if case_set is not None:
                stimulus = self.block(case_set.text(found)[1])
        return ItemHtml(found, self.block(text.stem), options, targets, stimulus)


def _keep_attribute(element: str, attribute: str, value: str) -> str | None:
    """Data URLs are for pictures alone."""
    if attribute in ("href", "src") and value.strip().lower().startswith("data:"):
        picture = element == "img" and value.strip().lower().startswith(
            ("data:image/png;", "data:image/jpeg;", "data:image/webp;")
        )
        return value if picture else None
    return value


_clean = nh3.Cleaner(
    tags=_HTML | _MATHML,
    attributes=_ATTRIBUTES,
    url_schemes={"http", "https", "mailto", "data"},
    link_rel="noopener noreferrer",
    strip_comments=True,
    attribute_filter=_keep_attribute,
).clean
