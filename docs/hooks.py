"""Hooks of mkdocs: pages made from the code, pages that lie elsewhere in the checkout, and links between them."""

import re
from pathlib import Path
from typing import Any

from generate import PAGES

ROOT = Path(__file__).parents[1]
# Files outside of docs/ that are pages of the site as well, by their place in the checkout.
BORROWED = {"data/README.md": "data.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Adds pages that the navigation of mkdocs.yml does not name at its end, under "More"."""
    named = set(re.findall(r"[\w-]+\.md", str(config.nav)))
    more = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in named)
    if more:
        config.nav.append({"More": more})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are no files of docs/."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    for place, name in BORROWED.items():
        files.append(File.generated(config, name, content=(ROOT / place).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links between files of the checkout become links between pages, or names where there is no page."""
    source = {name: place for place, name in BORROWED.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return _LINK.sub(lambda link: site_link(link, Path(source).parent), markdown)


def site_link(link: re.Match, folder: Path) -> str:
    """A Markdown link of a file in `folder` (of the checkout) as it has to be on the site."""
    text, target, anchor = link[1], link[2], link[3] or ""
    place = (ROOT / folder / target).resolve().relative_to(ROOT.resolve()).as_posix()
    if place in BORROWED:
        return f"[{text}]({BORROWED[place]}{anchor})"
    if place.startswith("docs/"):
        return f"[{text}]({place.removeprefix('docs/')}{anchor})"
    return text if place in text else f"{text} (`{place}`)"
