"""Class folders of somebody's own, whether or not they are divided into training and test images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from longtail.datasets.findings import ERROR, NOTE, WARNING, Finding, counted, examples, shown
from longtail.datasets.folder import EXTENSIONS, ClassFolders, is_folder, not_listed, visible
from longtail.datasets.gathered import OTHER_PICTURES, UNDIVIDED, Gathered, part_of

LAYOUT = "PATH/train/CLASS/... with PATH/test/CLASS/... (PATH/val/CLASS/... if you like), or PATH/CLASS/... alone"
"""What class folders may look like."""

MISPLACED = ("parts-inside-classes", "no-training-folder", "folder-around-classes")
"""Findings that what was taken for classes hardly are some."""


def gather_folder(path: Path) -> Gathered:
    """The images in the class folders of a folder.

    With a folder `train`, images are divided as `train`, `val` and `test` (or a word of `PART_WORDS`) say; without one, every
    folder is a class. Images of a class lie at any depth. See `visible` for what does not count.

    Args:
        path: the folder.

    Raises:
        UserError: a folder cannot be listed.
    """
    try:
        folders = [entry.name for entry in visible(path) if is_folder(entry)]
    except OSError as error:
        raise not_listed(error) from error
    if any(part_of(name) == "train" for name in folders):
        return _Reading(path, depth=1).divided(folders)
    return _Reading(path, depth=0).undivided()


@dataclass
class _Reading:
    """One folder being read, and what was noticed so far.

    path: the folder.
    depth: number of folders between it and a class folder.
    """

    path: Path
    depth: int
    findings: list[Finding] = field(default_factory=list)

    def divided(self, folders: Sequence[str]) -> Gathered:
        named: defaultdict[str, list[str]] = defaultdict(list)
        for name in folders:
            named[part_of(name) or UNDIVIDED].append(name)
        found = {}
        for part in ("train", "val", "test"):
            for name in named[part][:1]:
                found[part] = ClassFolders.read(self.path, name)
            if len(named[part]) > 1:
                text = f"{shown(self.path)} has {len(named[part])} folders for one part: {', '.join(named[part])}"
                self._say(ERROR, "two-folders-for-one-part", text, "merge them, or move one of them out")
        if named[UNDIVIDED]:
            text = f"beside the folders of the parts there are others, which do not count: {examples(named[UNDIVIDED])}"
            self._say(NOTE, "other-folders", text, "", named[UNDIVIDED])
        for part, of_part in list(found.items()):
            if not of_part.classes and part != "train":
                del found[part]
                self._say_unlabelled(named[part][0], of_part)
        self._tell_of_nesting(found.values())
        self._tell_of_all(found.values())
        if not found["train"].classes:
            self._say_nothing_found(self.path / named["train"][0], found["train"])
        return self._gathered("class folders, divided into parts", found)

    def undivided(self) -> Gathered:
        found = ClassFolders.read(self.path)
        if not found.classes:
            self._say_nothing_found(self.path, found)
        self._tell_of_misplaced_classes(found)
        if not self.findings:
            self._tell_of_nesting([found])
        self._tell_of_all([found])
        return self._gathered("one folder of class folders", {UNDIVIDED: found})

    def _tell_of_misplaced_classes(self, found: ClassFolders) -> None:
        """An error where what should be classes seem to be parts, or the folder around them."""
        inside = {name: set(self._inside(name, found)) for name in found.classes}
        parts = sorted(name for name in inside if part_of(name) and inside[name] != {None})
        untaught = [name for name in parts if inside[name] & (found.classes - {name}) or set(parts) == found.classes]
        if len(inside) > 1 and all(each is not None and part_of(each) for folders in inside.values() for each in folders):
            text = f"train, val and test are inside of the class folders of {shown(self.path)}, not around them"
            self._say(ERROR, "parts-inside-classes", text, f"turn them round: {LAYOUT}")
        elif untaught:
            text = f"{shown(self.path)} has class folders in {' and '.join(untaught)}, but no folder train"
            self._say(ERROR, "no-training-folder", text, f"put the images to train on into train/CLASS/: {LAYOUT}")
        elif len(inside) == 1 and inside.keys().isdisjoint(parts):
            (name,) = inside
            folders = sorted(each for each in inside[name] if each)
            if folders:
                place = shown(self.path / name)
                text = f"all images lie below one folder, {place}, which has folders itself: {examples(folders)}"
                self._say(ERROR, "folder-around-classes", text, f"if those are the classes or parts, give {place} instead")

    def _gathered(self, form: str, found: dict[str, ClassFolders]) -> Gathered:
        parts = {
            part: [(path, name) for name, paths in of_part.by_class.items() for path in paths]
            for part, of_part in found.items()
        }
        return Gathered(form, self.path, parts, tuple(self.findings))

    def _tell_of_all(self, parts: Iterable[ClassFolders]) -> None:
        found = list(parts)
        loops = [path for part in found for path in part.loops]
        if loops:
            text = f"{counted(len(loops), 'link')} in a circle: {examples(loops)}"
            remedy = (
                "nothing behind it is looked at; delete it" if len(loops) == 1 else "nothing behind is looked at; delete them"
            )
            self._say(WARNING, "link-in-a-circle", text, remedy, loops)
        classes = {name for part in found for name in part.classes}
        folders = {name for part in found for name in part.by_class}
        empty = sorted(folders - classes - {PurePosixPath(path).name for path in loops})
        if empty and classes:
            text = f"{counted(len(empty), 'folder')} without an image, no class: {examples(empty)}"
            self._say(WARNING, "empty-folder", text, "put images into it, or delete it", empty)
        others = [path for part in found for path in part.others]
        if classes:
            self._tell_of_pictures_left_out(others)
        rest = [path for path in others if _extension(path) not in EXTENSIONS | OTHER_PICTURES]
        if rest:
            text = f"{counted(len(rest), 'file')} ignored, since the name is not that of an image: {examples(rest)}"
            self._say(NOTE, "other-files", text, "", rest)

    def _tell_of_nesting(self, found: Iterable[ClassFolders]) -> None:
        nested = sorted(
            {f"{name}/{each}" for part in found for name in part.classes for each in self._inside(name, part) if each}
        )
        if nested:
            text = f"{counted(len(nested), 'folder')} with images inside of class folders: {examples(nested)}"
            remedy = "their images count for the outer class; if they are classes themselves, move them one level up"
            self._say(WARNING, "nested-folders", text, remedy, nested)

    def _tell_of_pictures_left_out(self, others: Sequence[str]) -> None:
        loose = [path for path in others if _extension(path) in EXTENSIONS]
        unread = [path for path in others if _extension(path) in OTHER_PICTURES]
        if loose:
            text = f"{counted(len(loose), 'image')} in no class folder: {examples(loose)}"
            self._say(WARNING, "image-without-class", text, "they are left out; move them into folders of their classes", loose)
        if unread:
            text = f"{counted(len(unread), 'picture')} of kinds that are not read: {examples(unread)}"
            self._say(WARNING, "other-pictures", text, "they are left out; convert them to JPEG or PNG", unread)

    def _inside(self, name: str, part: ClassFolders) -> list[str | None]:
        """For each image of a class the folder in the class folder that it lies in; None for one straight in it."""
        places = [PurePosixPath(path).parts[self.depth + 1 :] for path in part.by_class[name]]
        return [place[0] if len(place) > 1 else None for place in places]

    def _say_unlabelled(self, name: str, part: ClassFolders) -> None:
        loose = [path for path in part.others if _extension(path) in EXTENSIONS]
        what = f"{counted(len(loose), 'image')}, but in no class folders" if loose else "no image in class folders"
        remedy = f"it does not count; without labels nothing can be judged: {name}/CLASS/..." if loose else "it does not count"
        self._say(WARNING, "part-without-labels", f"{shown(self.path / name)} has {what}", remedy, loose)

    def _say_nothing_found(self, folder: Path, found: ClassFolders) -> None:
        tables = [path.name for path in sorted(self.path.glob("*.csv"))]
        unread = [path for path in found.others if _extension(path) in OTHER_PICTURES]
        if any(_extension(path) in EXTENSIONS for path in found.others):
            text = f"the images lie straight in {shown(folder)}, so that nothing tells their classes"
            remedy = f"sort them into folders of their classes ({LAYOUT}), or write a table with the columns path,label"
        elif unread:
            text = f"there are only pictures of kinds that are not read in {shown(folder)}: {examples(unread)}"
            remedy = f"convert them to JPEG or PNG; expected is {LAYOUT}"
        else:
            text = f"there is no image in the class folders of {shown(folder)}"
            remedy = f"expected {LAYOUT}; images are called {', '.join(f'*{each}' for each in sorted(EXTENSIONS))}"
        if tables:
            remedy = f"give the table {shown(self.path / tables[0])} itself, if that is where the labels are; else {remedy}"
        self._say(ERROR, "no-images", text, remedy)

    def _say(self, level: str, kind: str, text: str, remedy: str, items: Sequence[str] = ()) -> None:
        self.findings.append(Finding(level, kind, text, remedy, tuple(items)))


def _extension(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
