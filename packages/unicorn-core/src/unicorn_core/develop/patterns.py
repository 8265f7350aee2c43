"""The files that are watched by name or pattern (setting reload_extra_files)."""

import glob
import os
from collections.abc import Iterable


class Patterns:
    """Names and patterns of files; `**` stands for any number of folders, a folder for all files in it.

    As in a shell, a pattern matches nothing hidden, unless it says so.

    Args:
        folder: where relative ones begin.
    """

    def __init__(self, texts: Iterable[str], folder: str) -> None:
        self._texts = [os.path.normpath(text) for text in texts]
        self._folder = folder

    def files(self) -> set[str]:
        """What matches now."""
        found = {path for text in self._texts for path in self._expand(text)}
        # Bytecode is written by the importing itself, which would be a change.
        return {path for path in found if f"{os.sep}__pycache__{os.sep}" not in path and not os.path.isdir(path)}

    def folders(self) -> set[str]:
        """The folders in which a match may appear, or a folder that leads to one."""
        found: set[str] = set()
        for text in self._texts:
            folder = os.path.dirname(self._pattern(text))
            while glob.has_magic(folder):
                found.update(os.path.normpath(path) for path in self._glob(os.path.join(folder, "")))
                folder = os.path.dirname(folder)
            found.add(nearest_folder(os.path.join(self._folder, folder)))
        return found

    def _expand(self, text: str) -> list[str]:
        path = os.path.join(self._folder, text)
        return [path] if os.path.isfile(path) else self._glob(self._pattern(text))

    def _pattern(self, text: str) -> str:
        """The text as a pattern whose last part is the name of a file."""
        if os.path.isdir(os.path.join(self._folder, text)):
            return os.path.join(text, "**", "*")
        return os.path.join(text, "*") if os.path.basename(text) == "**" else text

    def _glob(self, pattern: str) -> list[str]:
        matches = glob.glob(pattern, root_dir=self._folder, recursive=True)
        return [os.path.normpath(os.path.join(self._folder, match)) for match in matches]


def nearest_folder(path: str) -> str:
    """This folder, or the nearest above it that exists."""
    while not os.path.isdir(path) and path != (above := os.path.dirname(path)):
        path = above
    return path
