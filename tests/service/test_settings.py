"""Settings: from the environment, validated, with safe defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius.errors import RecipeError
from vesalius.service.settings import Settings, settings


def test_the_defaults_are_those_of_the_contract() -> None:
    configuration = Settings()
    assert (configuration.max_body, configuration.max_pixels, configuration.max_aspect) == (
        20 * 2**20,
        40_000_000,
        200,
    )
    assert (configuration.max_frames, configuration.max_question, configuration.max_turns) == (
        512,
        2000,
        20,
    )
    assert (configuration.max_tokens, configuration.deadline, configuration.queue) == (512, 60, 32)
    assert (configuration.header_deadline, configuration.image_hours, configuration.text_days) == (
        30,
        24,
        30,
    )
    assert (configuration.batch, configuration.batch_wait, configuration.heartbeat) == (8, 0.01, 15)
    assert (configuration.text_in_dicom, configuration.text_in_pictures) == ("flag", "off")
    assert configuration.abstain_below is None
    assert configuration.loopback


def test_the_environment_is_read_and_what_is_said_goes_over_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VESALIUS_QUEUE", "7")
    monkeypatch.setenv("VESALIUS_BATCH", "4")
    monkeypatch.setenv("VESALIUS_ORIGINS", "https://a.example, https://b.example")
    configuration = settings(queue=9, host=None)
    assert (configuration.queue, configuration.batch) == (9, 4)
    assert configuration.origins == ("https://a.example", "https://b.example")
    assert configuration.host == "127.0.0.1"


def test_a_login_or_a_name_outside_closes_the_door_on_loopback_too() -> None:
    assert settings(oidc_issuer="https://x", oidc_audience="y").need_keys
    assert settings(hosts=("api.hospital.example",)).need_keys


@pytest.mark.parametrize(
    ("host", "keys", "needed"),
    [
        ("127.0.0.1", "auto", False),
        ("localhost", "auto", False),
        ("::1", "auto", False),
        ("127.8.8.8", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("hospital.example", "auto", True),
        ("127.0.0.1", "on", True),
    ],
)
def test_keys_are_needed_wherever_others_can_call(host: str, keys: str, needed: bool) -> None:
    assert settings(host=host, keys=keys).need_keys is needed


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"queue": 0}, "VESALIUS_QUEUE"),
        ({"host": "0.0.0.0", "keys": "off"}, "keys cannot be off"),
        ({"run": Path("a"), "model": "b"}, "only one of"),
        ({"oidc_issuer": "https://x"}, "belong together"),
        ({"abstain_below": 2}, "VESALIUS_ABSTAIN_BELOW"),
        ({"text_in_dicom": "perhaps"}, "VESALIUS_TEXT_IN_DICOM"),
    ],
)
def test_what_cannot_be_is_named(values: dict, named: str) -> None:
    with pytest.raises(RecipeError) as caught:
        settings(**values)
    assert named in str(caught.value)


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(settings(endpoint="http://x", endpoint_key="hush"))


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({}, True),
        ({"ephemeral": True}, False),
        ({"database_url": "postgresql://db/x"}, True),
        ({"database_url": "postgresql://db/x", "pictures_url": "file:///x"}, True),
        ({"database_url": "postgresql://db/x", "pictures_url": "gs://bucket"}, False),
    ],
)
def test_cloud_run_needs_state_that_stays(
    monkeypatch: pytest.MonkeyPatch, values: dict, refused: bool
) -> None:
    monkeypatch.setenv("K_SERVICE", "vesalius")
    if refused:
        with pytest.raises(RecipeError, match="Cloud Run"):
            settings(**values).require_durable_state()
    else:
        settings(**values).require_durable_state()
