"""Files that are whole or not there."""

from pathlib import Path

import pytest

from rmspec.oracles.atomic import begin_file, probe_folder, write_file


@pytest.mark.parametrize("write", [lambda target: write_file(target, b"new"), begin_file], ids=["whole", "begun"])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
    write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last move fails, the old content stays."""
    target = tmp_path / "file"
    target.write_text("old")

    def fail(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write(target)  # type: ignore[operator]
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_are_kept_or_given(tmp_path: Path) -> None:
    """Those of an older file stay, unless others are asked for."""
    target = tmp_path / "file"
    target.touch(0o600)
    write_file(target, b"new")
    assert target.stat().st_mode & 0o777 == 0o600
    write_file(target, b"new", mode=0o644)
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_file_is_begun_in_the_place_of_an_older_one(tmp_path: Path) -> None:
    """Whoever still writes to the older one writes into no file of another run."""
    target = tmp_path / "log"
    with begin_file(target) as older, begin_file(target) as newer:
        older.write("first")
        newer.write("second")
    assert target.read_text() == "second"


def test_a_folder_is_probed_without_a_trace(tmp_path: Path) -> None:
    """One that is not there raises."""
    probe_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="No such file"):
        probe_folder(tmp_path / "none")
