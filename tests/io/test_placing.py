"""Results are put in place whole: folders, links, mounts, modes, and killed processes."""

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from colour_embed.config import InputError
from colour_embed.io import placing, run_folder


def _write(folder, experiment="tutorial", **files):
    with placing.replacing(folder, experiment) as partial:
        run_folder.write_json(partial / "config.json", {"experiment": experiment})
        for name, text in files.items():
            (partial / name).write_text(text)


def _listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_made_with_its_parents_and_the_users_permissions(tmp_path):
    _write(tmp_path / "a" / "b", note="1")
    assert _listing(tmp_path / "a" / "b") == ["config.json", "note"]
    assert _listing(tmp_path / "a") == ["b"]
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o777 & ~umask


def test_the_same_experiment_replaces_its_folder(tmp_path):
    _write(tmp_path / "out", old="1")
    _write(tmp_path / "out", new="2")
    assert _listing(tmp_path / "out") == ["config.json", "new"]
    assert _listing(tmp_path) == ["out"]


@pytest.mark.parametrize("owner", ["sweep", None])
def test_another_folder_is_refused_and_kept(tmp_path, owner):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    if owner:
        (folder / "config.json").write_text(json.dumps({"experiment": owner}))
    with pytest.raises(InputError, match=r"out: .*give --out a new or empty folder"):
        _write(folder)
    assert (folder / "thesis.tex").read_text() == "precious"


def test_an_empty_folder_is_taken_and_a_file_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    _write(tmp_path / "empty", note="1")
    assert "note" in _listing(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        _write(tmp_path / "file")


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path):
    _write(tmp_path / "out", old="1")

    def fail():
        with placing.replacing(tmp_path / "out", "tutorial") as partial:
            (partial / "half").write_text("...")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _listing(tmp_path / "out") == ["config.json", "old"]
    assert _listing(tmp_path) == ["out"]


def test_a_killed_process_leaves_the_old_folder(tmp_path):
    _write(tmp_path / "out", old="1")
    program = (
        "import pathlib, time; from colour_embed.io import placing\n"
        f"with placing.replacing(pathlib.Path({str(tmp_path / 'out')!r}), 'tutorial') as out:\n"
        "    (out / 'half').write_text('...'); print('writing', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    assert _listing(tmp_path / "out") == ["config.json", "old"]
    # What the killed process left is cleared by the next run, whose folder is whole again.
    _write(tmp_path / "out", new="2")
    assert _listing(tmp_path) == ["out"]


def test_a_running_neighbours_partial_folder_is_left_alone(tmp_path):
    with placing.replacing(tmp_path / "out", "tutorial") as partial:
        _write(tmp_path / "out", other="1")
        assert partial.is_dir()
        run_folder.write_json(partial / "config.json", {"experiment": "tutorial"})
    assert _listing(tmp_path / "out") == ["config.json"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed_and_kept(tmp_path, exists):
    disk, link = tmp_path / "disk" / "x", tmp_path / "link"
    if exists:
        disk.mkdir(parents=True)
    link.symlink_to(disk)
    for text in ("1", "2"):
        _write(link, note=text)
    assert link.is_symlink()
    assert _listing(disk) == ["config.json", "note"]
    assert (disk / "note").read_text() == "2"
    assert _listing(tmp_path) == ["disk", "link"]
    assert _listing(disk.parent) == ["x"]
    file, alias = tmp_path / "file", tmp_path / "alias"
    alias.symlink_to(file)
    with placing.replacing_file(alias) as passing:
        passing.write_text("new")
    assert alias.is_symlink()
    assert file.read_text() == "new"


def test_the_home_and_a_circle_of_links(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert placing.resolved("~/mine") == tmp_path / "mine"
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match="give another"):
        _write(tmp_path / "a")


def test_the_working_folder_is_replaced_in_place(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    number = os.stat(".").st_ino
    _write(".", old="1")
    _write(".", new="2")
    assert os.stat(".").st_ino == number
    assert _listing(tmp_path / "here") == ["config.json", "new"]
    with pytest.raises(ZeroDivisionError), placing.replacing(".", "tutorial"):
        raise ZeroDivisionError
    assert _listing(tmp_path / "here") == ["config.json", "new"]
    assert _listing(tmp_path) == ["here"]


def test_modes_and_the_group_bit_are_kept(tmp_path):
    private, shared = tmp_path / "private", tmp_path / "shared"
    private.mkdir()
    private.chmod(0o700)
    shared.mkdir()
    shared.chmod(0o2775)
    _write(private)
    _write(shared / "run", note="1")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert (shared / "run").stat().st_mode & stat.S_ISGID
    (tmp_path / "table").write_text("old")
    (tmp_path / "table").chmod(0o640)
    with placing.replacing_file(tmp_path / "table") as passing:
        passing.write_text("new")
    assert stat.S_IMODE((tmp_path / "table").stat().st_mode) == 0o640


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("renames", range(6))
def test_killed_between_two_renames(tmp_path, monkeypatch, in_place, renames):
    """Whenever a process dies, the next run finds the old results or the new ones, whole."""
    folder = tmp_path / "out"
    _write(folder, old="1")
    program = (
        "import os, pathlib, sys; from colour_embed.io import placing, run_folder\n"
        "folder, in_place, left = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])\n"
        "if in_place == 'True': os.chdir(folder)\n"
        "rename = pathlib.Path.rename\n"
        "def counted(self, target):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left < 0: os._exit(9)\n"
        "    return rename(self, target)\n"
        "with placing.replacing(folder, 'tutorial') as partial:\n"
        "    run_folder.write_json(partial / 'config.json', {'experiment': 'tutorial'})\n"
        "    (partial / 'new').write_text('2')\n"
        "    pathlib.Path.rename = counted\n"
    )
    arguments = [str(folder), str(in_place), str(renames)]
    status = subprocess.run([sys.executable, "-c", program, *arguments], check=False).returncode
    assert status in (0, 9)
    if in_place:
        monkeypatch.chdir(folder)
    placing.check_folder(folder, "tutorial")
    assert _listing(folder) in (["config.json", "old"], ["config.json", "new"])
    assert _listing(tmp_path) == ["out"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount needs root")
def test_a_mounted_volume(tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    program = (
        f"mount -t tmpfs none {volume} || exit 77\n{sys.executable} -c '"
        "import pathlib, sys; from colour_embed.io import placing, run_folder\n"
        'for name in ("old", "new"):\n'
        '    with placing.replacing(sys.argv[1], "tutorial") as partial:\n'
        '        run_folder.write_json(partial / "config.json", {"experiment": "tutorial"})\n'
        f'        (partial / name).write_text("1")\' {volume}\n'
        f"ls -A {volume}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", program], capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no right to mount")
    assert done.stdout.split() == ["config.json", "new"], done.stderr
