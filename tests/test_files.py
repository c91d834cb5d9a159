"""Files are written whole or not at all, and only ever in the place of files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agelens.errors import OutputError
from agelens.files import atomic_path, check_file, staged_folder, write_text


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A link, and the file in another folder that it leads to."""
    target, link = tmp_path / "deep" / "file", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    return link, target


@pytest.mark.parametrize("by_link", [False, True])
def test_a_pipe_is_refused_and_stays(by_link: bool, pipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "link" if by_link else pipe
    if by_link:
        path.symlink_to(pipe)
    for write in (check_file, lambda path: write_text(path, "new")):
        with pytest.raises(OutputError, match="no regular file; choose another name"):
            write(path)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert path.is_symlink() == by_link


def test_a_device_behind_a_link_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(os.devnull)
    with pytest.raises(OutputError, match="no regular file"):
        write_text(link, "new")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_link_is_followed_and_stays_a_link(linked: tuple[Path, Path]) -> None:
    link, target = linked
    check_file(link)
    write_text(link, "new")
    assert link.is_symlink()
    assert not target.is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_link_to_nothing_yet_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_link_to_itself_is_an_output_error_and_stays(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for write in (check_file, lambda path: write_text(path, "new")):
        with pytest.raises(OutputError, match="loop: cannot be written"):
            write(loop)
    assert loop.is_symlink()


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(linked: tuple[Path, Path]) -> None:
    def fail(path: Path) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    for path in linked:
        with pytest.raises(KeyError):
            fail(path)
        assert [(one.name, one.read_text()) for one in linked[1].parent.iterdir()] == [("file", "old")]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    check_file(path)
    write_text(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_staged_folder_comes_whole_and_makes_room_for_itself_only(tmp_path: Path) -> None:
    (tmp_path / "pages" / "old").mkdir(parents=True)
    (tmp_path / "mine.txt").write_text("kept")
    with staged_folder(tmp_path) as stage:
        (stage / "pages").mkdir()
        (stage / "pages" / "new").touch()
        (stage / "report").touch()
        assert not (tmp_path / "report").exists()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        "mine.txt", "pages", "pages/new", "report",
    }  # fmt: skip


def test_a_staged_folder_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("old")
    with pytest.raises(OutputError), staged_folder(tmp_path) as stage:  # noqa: PT012
        (stage / "report").write_text("new")
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report").read_text() == "old"
