"""What others report, each number with its source: `published.json` beside this file.

Numbers that nobody could be found to say (rows remembered from papers, say) are not in it.
"""

import json
import re
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("published.json")


def published_values() -> dict[str, Any]:
    """The content of `published.json`: title, protocol, legend of the certainties, and methods.

    >>> values = published_values()
    >>> {m["certainty"] for m in values["methods"]} <= set(values["certainty"])
    True
    """
    return json.loads(SOURCE.read_text(encoding="utf-8"))


def dtu_scan(name: str) -> int | None:
    """The number of the DTU scan that a scene's name speaks of.

    >>> dtu_scan("dtu_scan65"), dtu_scan("scan24"), dtu_scan("lego"), dtu_scan("kitchen_scanner")
    (65, 24, None, None)
    """
    found = re.search(r"(?:^|_)scan(\d+)(?:_|$)", name)
    return int(found[1]) if found else None
