"""What a process that works for agents may not do: write into the folders, start other programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import os, shutil, subprocess, sys, tempfile
from pathlib import Path
from vesalius.service.mcp.guard import forbid
home, elsewhere = map(Path, sys.argv[1:3])
os.chdir(home)
forbid([home], write={write})
"""
WRITING = [
    "(home / 'new.txt').write_text('x')",
    "open('a.txt', 'a')",
    "open('a.txt', 'r+')",
    "os.open(home / 'new', os.O_CREAT | os.O_WRONLY)",
    "(elsewhere / 'link.txt').write_text('x')",
    "(home / 'a.txt').unlink()",
    "os.remove('a.txt')",
    "os.rename('a.txt', elsewhere / 'b.txt')",
    "os.replace(elsewhere / 'own.txt', home / 'a.txt')",
    "os.mkdir('folder')",
    "shutil.rmtree(home / 'full')",
    "shutil.copy(elsewhere / 'own.txt', home / 'c.txt')",
    "os.symlink('/etc/passwd', 'd.txt')",
    "os.link(elsewhere / 'own.txt', home / 'e.txt')",
    "os.truncate('a.txt', 0)",
    "os.chmod('a.txt', 0o777)",
    "os.utime('a.txt', (0, 0))",
]
PROGRAMS = [
    "subprocess.run(['/bin/true'])",
    "subprocess.run('true', shell=True)",
    "os.system('true')",
    "os.execv('/bin/true', ['true'])",
    "os.posix_spawn('/bin/true', ['true'], {})",
]
ALLOWED = [
    "assert open('a.txt').read() == 'kept'",
    "assert sorted(os.listdir()) == ['a.txt', 'full']",
    "(elsewhere / 'own.txt').write_text('x')",
    "(elsewhere / 'link.txt').unlink()",
    "tempfile.TemporaryDirectory().cleanup()",
    "shutil.rmtree(elsewhere)",
    "subprocess.run([sys.executable, '-c', ''], check=True)",
]


def tried(tmp_path: Path, code: str, *, write: bool = False) -> subprocess.CompletedProcess[str]:
    """The code in a guarded process; a file is in the folder, and a link to it elsewhere."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "full").mkdir(parents=True)
    elsewhere.mkdir()
    (home / "a.txt").write_text("kept")
    (home / "full" / "b.txt").write_text("kept")
    (elsewhere / "own.txt").write_text("own")
    (elsewhere / "link.txt").symlink_to(home / "a.txt")
    command = [sys.executable, "-c", BEGIN.format(write=write) + code, str(home), str(elsewhere)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", WRITING)
def test_nothing_is_written_into_the_folders(tmp_path: Path, code: str) -> None:
    done = tried(tmp_path, code)
    assert "this server only reads (start it with --write)" in done.stderr
    home = tmp_path / "home"
    assert sorted(path.name for path in home.rglob("*")) == ["a.txt", "b.txt", "full"]
    assert (home / "a.txt").read_text() == (home / "full" / "b.txt").read_text() == "kept"
    assert (home / "a.txt").stat().st_mtime > 0


@pytest.mark.parametrize("code", PROGRAMS)
def test_no_other_program_is_started(tmp_path: Path, code: str) -> None:
    for write in (False, True):
        done = tried(tmp_path / str(write), code, write=write)
        assert "no program is started here" in done.stderr


@pytest.mark.parametrize("code", ALLOWED)
def test_reading_and_what_is_elsewhere_are_free(tmp_path: Path, code: str) -> None:
    done = tried(tmp_path, code)
    assert done.returncode == 0, done.stderr


def test_a_server_that_may_write_does(tmp_path: Path) -> None:
    assert tried(tmp_path, WRITING[0], write=True).returncode == 0
    assert (tmp_path / "home" / "new.txt").read_text() == "x"
