"""What is done of one run of a benchmark, kept on disk after every step."""

import json
import time
from pathlib import Path
from typing import Any

from neus.files import write_json

# In this order; each builds on those before it.
PARTS = ("train", "evaluate", "surface")


class RunRecord:
    """The JSON file of what is done of one run and what came out; saved whole after every change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = {}  # none yet, or damaged by hand: the run starts over
        is_ours = isinstance(content, dict) and isinstance(content.get("parts"), dict)
        self.facts: dict[str, Any] = {k: v for k, v in content.items() if k != "parts"} if is_ours else {}
        parts = content["parts"].items() if is_ours else ()
        self.parts: dict[str, dict[str, Any]] = {name: part for name, part in parts if isinstance(part, dict)}

    def is_done(self, settings: dict[str, Any]) -> bool:
        """Whether every part was done with these settings."""
        return all(self.has(part, settings[part]) for part in PARTS)

    def has(self, part: str, settings: dict[str, Any]) -> bool:
        """Whether one part was done with these settings."""
        return self._began(part, settings) and "seconds" in self.parts[part]

    def begin(self, part: str, settings: dict[str, Any], carried: float = 0.0, resumed: int = 0) -> None:
        """Notes that a part begins now, forgetting it and what followed from it; `carried` seconds went into it before."""
        for later in PARTS[PARTS.index(part) :]:
            self.parts.pop(later, None)
        self.parts[part] = {"settings": settings, "started": time.time(), "carried": carried, "resumed": resumed}
        self.save(status="begun", reason="")

    def finish(self, part: str, seconds: float, scores: dict[str, Any]) -> None:
        """Notes what came out of a part."""
        entry = self.parts[part]
        entry |= {"seconds": round(entry["carried"] + seconds, 2), "scores": scores}
        self.save()

    def interrupted(self, part: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """What was noted when a part began with these settings that never ended."""
        is_so = self._began(part, settings) and "seconds" not in self.parts[part]
        return self.parts[part] if is_so else None

    def save(self, **facts: Any) -> None:
        """Writes the file, with these facts beside the parts."""
        self.facts |= facts
        write_json(self.path, self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """What is in the file."""
        return {**self.facts, "parts": self.parts}

    def _began(self, part: str, settings: dict[str, Any]) -> bool:
        return self.parts.get(part, {}).get("settings") == settings
