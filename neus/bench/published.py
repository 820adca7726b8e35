"""What others report, each number with its source: `published.json` beside this file.

Numbers that nobody could be found to say (rows remembered from papers, say) are not in it.
"""

import json
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
