"""A table of somebody's own: a text file that names images with their labels, in whatever words people use for the columns."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from longtail.datasets.findings import NOTE, WARNING, Finding, counted, examples, shown
from longtail.datasets.folder import EXTENSIONS
from longtail.datasets.gathered import OTHER_PICTURES, PART_WORDS, UNDIVIDED, Gathered, part_of
from longtail.datasets.lists import missing_files
from longtail.errors import UserError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}

_CALLED = {
    "path": """path filepath imagepath imgpath relativepath file filename imagefile imagefilename imagename imgname fname image
        img images picture photo imageid id name""",
    "label": """label labels class target category classname labelname categoryname classlabel species classid labelid
        categoryid groundtruth gt tag y""",
    "split": "split set subset partition part phase usage dataset",
}
HEADINGS = {role: tuple(words.split()) for role, words in _CALLED.items()}
"""What people call the columns, the surest words first, in lower case and without anything but letters."""

_LOOKED_AT = 50
"""Lines that tell delimiter and columns, and missing images that are looked for elsewhere."""
_ADVICE = "write a header such as path,label or path,label,split above the lines"
_EXPECTED = "expected is a folder of class folders, or a table with columns path,label"


def gather_table(path: Path, *, demand_images: bool = True) -> Gathered:
    """The images that a table names.

    Columns are found by their headings; without a header there must be just two, one of which plainly names images. They are
    separated by commas, semicolons or tabs, and values that contain one are quoted. Paths begin at the table's folder.

    Args:
        path: the file.
        demand_images: look whether every image is there.

    Raises:
        UserError: it is no such table, or a line is malformed or names an image that is not there or not below its folder.
    """
    table = _Table.of(path)
    root = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolving would lose a link's own folder
    roots = tuple(dict.fromkeys((str(root), os.path.realpath(root))))
    rows = [table.row(number, cells, roots) for number, cells in table.rows]
    rows, slashes = _with_slashes(rows, root)
    if demand_images:
        _demand_images(path, rows, root)
    rows, findings = _without_repeats(path, rows)
    parts: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        parts[row.part].append((row.path, row.label))
    labels = {row.label for row in rows}
    numbered = all(re.fullmatch(r"0|[1-9][0-9]{0,17}", label) for label in labels)
    return Gathered("table", root, parts, (*table.findings, *slashes, *findings), numbered)


@dataclass(frozen=True)
class _Row:
    """number: of the line; path: below the root; part: `UNDIVIDED` without a column for it."""

    number: int
    path: str
    label: str
    part: str


@dataclass(frozen=True)
class _Table:
    """A table's lines.

    path: the file.
    rows: number of the first line and cells of each image.
    at: number of the column of path, label and, if there is one, split.
    findings: what was noticed.
    """

    path: Path
    rows: Sequence[tuple[int, list[str]]]
    at: Mapping[str, int]
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, path: Path) -> _Table:
        text = _text(path)
        delimiter = _delimiter(text)
        try:
            rows = list(_records(text, delimiter))
        except ValueError as error:
            raise UserError(f"{shown(path)}, {error}\nquote the whole value and double the quotation marks in it") from error
        if not rows:
            raise UserError(f"{shown(path)} is empty\n{_ADVICE}")
        headings = _headings(rows[0][1])
        if "path" in headings and "label" in headings:
            used = ", ".join(f"{role} = {rows[0][1][at]!r}" for role, at in headings.items())
            others = [cell for at, cell in enumerate(rows[0][1]) if cell and at not in headings.values()]
            unused = f"; not used: {examples(others)}" if others else ""
            note = Finding(NOTE, "columns", f"columns, separated by {DELIMITERS[delimiter]}s: {used}{unused}")
            rows = rows[1:]
        else:
            headings = _columns_without_header(path, rows)
            note = Finding(
                WARNING,
                "no-header",
                f"{shown(path)} has no header; column {headings['path'] + 1} was taken for the paths, the other for the labels",
                f"if that is wrong, {_ADVICE}",
            )
        if not rows:
            raise UserError(f"{shown(path)} has a header, but names no image\nadd a line for each image")
        return cls(path, rows, headings, (note,))

    def row(self, number: int, cells: Sequence[str], roots: Sequence[str]) -> _Row:
        """One image, looked at."""
        missing = [role for role, at in self.at.items() if at >= len(cells) or not cells[at]]
        if missing:
            advice = "; quote names that contain the delimiter" if len(cells) > 1 else ""
            raise UserError(f"{self._line(number)}: there is no {missing[0]}\ncomplete or delete the line{advice}")
        broken = [role for role, at in self.at.items() if "\n" in cells[at]]
        if broken:
            remedy = "look whether a quotation mark is not closed"
            raise UserError(f"{self._line(number)}: the {broken[0]} goes on in the next line\n{remedy}")
        label = cells[self.at["label"]]
        part = UNDIVIDED
        if "split" in self.at:
            word = cells[self.at["split"]]
            part = part_of(word) or _refuse_part(self.path, number, word)
        return _Row(number, self._inside(number, cells[self.at["path"]], roots), label, part)

    def _line(self, number: int) -> str:
        return f"{shown(self.path)}, line {number}"

    def _inside(self, number: int, given: str, roots: Sequence[str]) -> str:
        """A path relative to the root, whose names are given, if it leads to something below it."""
        if "\0" in given:
            raise UserError(f"{self._line(number)}: the path {shown(given)!r} is not a file's name\ncorrect it")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", given):
            raise UserError(
                f"{self._line(number)}: {shown(given)} is an address\ndownload the images, and write the paths of the files"
            )
        path = posixpath.normpath(given)
        for folder in roots:
            path = path.removeprefix(f"{folder}/")
        if posixpath.isabs(path) or path.split("/", 1)[0] == ".." or re.match(r"[A-Za-z]:[\\/]", path):
            remedy = "move or link the images there, or move the table to a folder above them and write the paths from there"
            raise UserError(f"{self._line(number)}: {shown(given)} is not below the table's folder {shown(roots[0])}\n{remedy}")
        return path


def _text(path: Path) -> str:
    """A table's text; names that are not UTF-8 stay the bytes that they are."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {shown(path)}: {error.strerror}\nallow reading it, or give another table") from error
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    elif b"\0" in content[:4096] or content[:4] in (b"PK\x03\x04", b"%PDF") or content[:2] == b"\x1f\x8b":
        known = path.suffix.lower() in EXTENSIONS | OTHER_PICTURES
        what = "a picture; give its folder" if known else "not a text; unpack an archive, save a spreadsheet as CSV"
        raise UserError(f"{shown(path)} is {what}\n{_EXPECTED}")
    else:
        text = content.decode("utf-8-sig", "surrogateescape")
    if path.suffix.lower() in (".json", ".jsonl") or text.lstrip()[:1] in ("{", "<"):
        raise UserError(
            f"{shown(path)} is no table, but JSON or a web page; write its images and labels into a table\n{_EXPECTED}"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line and values of each record that is not blank; a quoted value may have several lines.

    Raises:
        ValueError: quotation marks do not match, with the number of the line.
    """
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    number = 1
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {number}: a quotation mark is not closed, or stands inside of a quoted value") from error


def _delimiter(text: str) -> str:
    """The one that divides the first records into the same number of values, and into more than the others do."""

    def fit(delimiter: str) -> tuple[bool, int]:
        try:
            widths = {len(cells) for _, cells in islice(_records(text, delimiter), _LOOKED_AT)}
        except ValueError:
            widths = {1 + line.count(delimiter) for line in text.split("\n")[:_LOOKED_AT] if line.strip()}
        least = min(widths, default=1)
        return len(widths) == 1 and least > 1, least

    return max(DELIMITERS, key=fit)


def _headings(cells: Sequence[str]) -> dict[str, int]:
    """Which column a role has; of several that would do, the one with the surest word."""
    words = [re.sub(r"[^a-z]", "", cell.lower()) for cell in cells]
    found = {role: next((words.index(word) for word in known if word in words), None) for role, known in HEADINGS.items()}
    return {role: at for role, at in found.items() if at is not None}


def _columns_without_header(path: Path, rows: Sequence[tuple[int, list[str]]]) -> dict[str, int]:
    """Path and label, where the first line is an image already."""
    first = rows[0][1]
    named = [at for at in (0, 1) if all(len(cells) == 2 and _is_picture(cells[at]) for _, cells in rows[:_LOOKED_AT])]
    if len(named) == 1:
        return {"path": named[0], "label": 1 - named[0]}
    if any(map(_is_picture, first)):
        raise UserError(f"{shown(path)} has no header, and its columns cannot be told apart\n{_ADVICE}")
    told = ", ".join(repr(shown(cell)) for cell in first)
    known = _headings(first)
    missing = [role for role in ("path", "label") if role not in known]
    separate = "separate the columns by commas, semicolons or tabs, and " if len(first) == 1 and not known else ""
    raise UserError(
        f"{shown(path)}: none of the columns {told} is known to be the {' or the '.join(missing)}\n"
        f"{separate}call them path, label and, if there is one, split (train, val or test)"
    )


def _is_picture(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in EXTENSIONS | OTHER_PICTURES


def _refuse_part(path: Path, number: int, word: str) -> str:
    known = ", ".join(word for words in PART_WORDS.values() for word in words)
    raise UserError(f"{shown(path)}, line {number}: {shown(word)!r} is no part of a data set\nwrite one of {known}")


def _with_slashes(rows: Sequence[_Row], root: Path) -> tuple[list[_Row], list[Finding]]:
    """Paths as Windows writes them, as they are written elsewhere."""
    if os.sep != "/" or not any("\\" in row.path for row in rows):
        return list(rows), []
    there = missing_files(root, [row.path for row in rows])
    changed = [row.path for row in rows if "\\" in row.path and row.path in there]
    if not changed:
        return list(rows), []
    text = f"backslashes in {counted(len(changed), 'path')} were taken for slashes"
    new = {old: posixpath.normpath(old.replace("\\", "/")) for old in changed}
    return [_Row(r.number, new.get(r.path, r.path), r.label, r.part) for r in rows], [Finding(NOTE, "backslashes", text)]


def _demand_images(path: Path, rows: Sequence[_Row], root: Path) -> None:
    """Look whether every image exists."""
    missing = missing_files(root, [row.path for row in rows])
    if not missing:
        return
    absent = [row for row in rows if row.path in missing]
    what = f"{len(missing):,} of the {len({row.path for row in rows}):,} images are missing"
    raise UserError(
        f"{shown(path)}, line {absent[0].number}: there is no {shown(root / absent[0].path)}; {what}\n"
        f"{_where_they_might_be(path, root, [row.path for row in absent[:_LOOKED_AT]])}"
    )


def _where_they_might_be(table: Path, root: Path, paths: Sequence[str]) -> str:
    """What to do about missing images: most of them may lack their ending, or lie in a folder straight below the table's."""

    def most(candidates: Sequence[str]) -> bool:
        return 2 * sum((root / candidate).is_file() for candidate in candidates) > len(paths)

    for ending in sorted(EXTENSIONS):
        if most([path + ending for path in paths]):
            return f"there is {shown(paths[0] + ending)}: write the paths with what the names end in"
    names = [posixpath.basename(path) for path in paths]
    folders = sorted((each.name for each in root.iterdir() if each.is_dir()), key=lambda name: (name != table.stem, name))
    for folder in folders:
        for inside in (paths, names):
            for ending in ("", *sorted(EXTENSIONS)):
                if most([f"{folder}/{name}{ending}" for name in inside]):
                    first = f"{folder}/{inside[0]}{ending}"
                    return f"there is {shown(first)}: write the paths from the table's folder"
    return f"paths begin at the table's folder, {shown(root)}; correct them, or delete the lines"


def _without_repeats(path: Path, rows: Sequence[_Row]) -> tuple[list[_Row], list[Finding]]:
    """Each image once in each part."""
    known: dict[str, _Row] = {}
    kept: dict[tuple[str, str], _Row] = {}
    for row in rows:
        before = known.setdefault(row.path, row)
        if before.label != row.label:
            raise UserError(
                f"{shown(path)}, lines {before.number} and {row.number}: {shown(row.path)} is labelled {shown(before.label)!r} "
                f"and {shown(row.label)!r}\nan image has one label; delete one of the lines"
            )
        kept.setdefault((row.path, row.part), row)
    repeated = len(rows) - len(kept)
    if not repeated:
        return list(rows), []
    text = f"{counted(repeated, 'line')} repeated an image in the same part, which counts once"
    return list(kept.values()), [Finding(WARNING, "repeated-line", text, "delete them")]
