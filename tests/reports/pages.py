"""What can be wrong with a page that should need nothing beside it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}


class _Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.problems = [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "srcset", "poster", "data") and not (value or "").startswith("data:"):
                self.problems.append(f"<{tag}> loads {value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        expected = self.open.pop() if self.open else "nothing"
        if tag != expected:
            self.problems.append(f"</{tag}> closes <{expected}>")


def problems_of(text: str) -> list[str]:
    """Tags that do not match, and whatever would be loaded from elsewhere."""
    checker = _Checker()
    checker.feed(text)
    checker.close()
    never = [f"<{tag}> is never closed" for tag in checker.open]
    loads = [f"a style loads {found}" for found in re.findall(r"@import[^;<]*|url\((?!data:)[^)]*\)", text)]
    return checker.problems + never + loads
