"""Page and service: started together, stopped together, never open to everyone by accident."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")

from vesalius.errors import RecipeError, Refusal
from vesalius.service.http.schemas import AskRequest
from vesalius.service.web import HEADER, HELD, KEY
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.examples import EXAMPLES
from vesalius.service.web.start import Wish, free_port, page_command, run_together, together
from vesalius.service.web.uploading import ARCHIVE_MIB


def wish(**said) -> Wish:
    fields = {"serve": {}, "api_url": None, "api_port": 0, "host": "127.0.0.1", "page_port": 0}
    return Wish(**{**fields, **said})


def test_the_page_reports_nothing_and_hides_what_is_not_ours() -> None:
    command = page_command("127.0.0.1", 1234)
    assert "--browser.gatherUsageStats=false" in command
    assert "--client.showErrorDetails=none" in command
    assert "--theme.dark.sidebar.backgroundColor=#191d21" in command
    assert f"--server.maxUploadSize={ARCHIVE_MIB}" in command  # or it would stop at 200
    assert command[-2:] == ["--server.address=127.0.0.1", "--server.port=1234"]
    assert Path(command[4]).is_file()


def test_a_service_that_runs_has_its_own_options() -> None:
    with pytest.raises(RecipeError, match="has its own --run"):
        run_together(wish(api_url="http://127.0.0.1:1", serve={"run": "x"}), print)


@pytest.mark.parametrize("value", ["much", "-1", "1.5"])
def test_room_for_files_is_a_number(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(HELD, value)
    with pytest.raises(RecipeError, match="VESALIUS_WEB_HELD_MIB: not a number"):
        run_together(wish(), print)


def test_beyond_loopback_the_page_must_know_who_is_at_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(HEADER, raising=False)
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(RecipeError, match="share one set of conversations"):
        run_together(wish(host="0.0.0.0"), print)
    monkeypatch.setenv(HEADER, "X-Remote-User")
    with pytest.raises(RecipeError, match="for-others"):
        run_together(wish(host="0.0.0.0"), print)


def test_a_login_counts_as_knowing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(HEADER, raising=False)
    monkeypatch.delenv(KEY, raising=False)
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "secrets.toml").write_text("[auth]\nclient_id = 'x'\n")
    with pytest.raises(RecipeError, match=KEY):
        run_together(wish(host="0.0.0.0"), print)


def test_if_one_dies_the_other_is_stopped_and_it_is_an_error(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    port = free_port()
    serves = (
        "import http.server, os, sys; open(sys.argv[2], 'w').write(str(os.getpid()));"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])),"
        " http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    commands = {
        "service": [sys.executable, "-c", serves, str(port), str(note)],
        "page": [sys.executable, "-c", "raise SystemExit(3)"],
    }
    ready = {"service": f"http://127.0.0.1:{port}/", "page": f"http://127.0.0.1:{free_port()}/"}
    with pytest.raises(Refusal, match=r"page ended by itself \(exit 3\)"):
        together(commands, ready, {}, lambda: None)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@pytest.mark.slow
def test_the_command_starts_both_and_a_signal_stops_both(tmp_path: Path) -> None:
    port, web_port = free_port(), free_port()
    command = [sys.executable, "-m", "vesalius", "web", "--replay", "echo", "--state", "state"]
    at = ["--port", str(port), "--web-port", str(web_port)]
    running = subprocess.Popen(
        [*command, *at], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert f"http://127.0.0.1:{web_port}" in running.stdout.readline()
        assert httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        assert httpx2.get(f"http://127.0.0.1:{web_port}/").status_code == 200
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
        for number in (port, web_port):
            with pytest.raises(httpx2.ConnectError):
                httpx2.get(f"http://127.0.0.1:{number}/")
    finally:
        running.kill()
        running.communicate()


@pytest.mark.slow
def test_two_people_behind_one_page_are_two_owners(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")]
    vesalius = [sys.executable, "-m", "vesalius"]
    made = subprocess.run(
        [*vesalius, "keys", "create", "page", "--for-others", *state],
        capture_output=True,
        text=True,
        check=True,
    )
    key, port = made.stdout.strip(), free_port()
    env = {**os.environ, HEADER: "X-Remote-User", KEY: key}
    at = ["--port", str(port), "--web-port", "0"]
    running = subprocess.Popen(
        [*vesalius, "web", "--replay", "echo", *state, *at],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert running.stdout.readline().startswith("open http://127.0.0.1")
        url = f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{url}/conversations").status_code == 401
        with Api(url, key=key, user="ann") as ann, Api(url, key=key, user="bob") as bob:
            image = ann.upload(EXAMPLES[0].draw())
            said = AskRequest(image_id=image.image_id, question="what?")
            *_, answer = ann.ask(said).events()
            with pytest.raises(ApiError) as caught:
                bob.conversation(answer.conversation_id)
            assert caught.value.status == 404
            assert bob.conversations().conversations == []
            assert len(ann.conversations().conversations) == 1
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
