"""A folder in which views of a scene are rendered, with a record of which run wrote what, so that nobody else's files are replaced."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neus.errors import InputError
from neus.files import write_json

RECORD = ".views.json"


@dataclass(frozen=True)
class ViewFolder:
    """A folder for files such as 000_rgb.png, names that other runs and other programs use as well.

    Attributes:
        path: the folder.
        run: whose views they are; RUN/render is its own, whatever is in it.
    """

    path: Path
    run: Path

    def claim(self, names: Sequence[str]) -> None:
        """Notes the files that are about to be written.

        Raises:
            InputError: the folder cannot be written, or holds files of these names that are not known to be of this run.
        """
        if self.path.resolve() == (self.run / "render").resolve() and (self.run / "checkpoints").is_dir():
            return
        record, owner = self._record(), self._owner()
        known = set(record.get(owner, ()))
        if foreign := [name for name in names if name not in known and (self.path / name).exists()]:
            raise InputError(
                f"{self.path}: holds {foreign[0]}, which no earlier call for this run wrote; expected a new or empty folder, or one of "
                "its own. Choose another one, or move the file away."
            )
        write_json(self.path / RECORD, {**record, owner: sorted(known.union(names))})

    def _owner(self) -> str:
        # Where things lie is nobody's business, to whom the folder may be sent.
        return hashlib.blake2b(str(self.run.resolve()).encode(), digest_size=16).hexdigest()

    def _record(self) -> dict[str, list[str]]:
        try:
            content = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}
