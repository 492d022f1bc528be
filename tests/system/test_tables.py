"""Tables inside packages, read by libyaml."""

from __future__ import annotations

import pytest
import yaml

from vesalius.system.tables import packaged_table, parse_yaml


def test_a_table_is_found_by_its_package() -> None:
    assert "patientid" in packaged_table("vesalius.data.reading", "headings.yaml")["patient"]
    with pytest.raises(FileNotFoundError, match=r"other\.yaml"):
        packaged_table("vesalius.data.reading", "other.yaml")


def test_only_plain_values_are_made() -> None:
    assert parse_yaml("a: [1, 2.5, yes, 2026-11-28]")["a"][:3] == [1, 2.5, True]
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        parse_yaml("!!python/object/apply:os.getcwd []")
    with pytest.raises(yaml.YAMLError):
        parse_yaml("a: [")
