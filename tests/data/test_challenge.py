from __future__ import annotations

import pytest

from vesalius.data.challenge import concepts_in, listed_ids, mapping_in
from vesalius.errors import DatasetError


@pytest.mark.parametrize(
    "text",
    ["a_2\na_1\n", "ID\na_2\na_1\n", 'ID,Caption\na_2,"x, y"\na_1,z\n', "ID\tx\na_2\t1\na_1\t2\n"],
)
def test_ids_stand_in_a_list_or_a_table(tmp_path, text):
    path = tmp_path / "ids.csv"
    path.write_text(text)
    assert listed_ids(path) == ("a_2", "a_1")


def test_a_table_without_ids_is_refused(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("a_1,words\na_2,more\n")
    with pytest.raises(DatasetError, match="there is no column of ids"):
        listed_ids(path)


def test_the_mapping_is_found_and_read(tmp_path):
    assert mapping_in(tmp_path) is None
    table = tmp_path / "2024" / "cui_mapping.csv"
    table.parent.mkdir()
    table.write_text("CUI,Canonical name\nC0000001,Chest\nC0000002,Head\n")
    assert mapping_in(tmp_path) == table
    assert concepts_in(table) == {"C0000001", "C0000002"}
    other = tmp_path / "2023" / "cui_mapping.csv"
    other.parent.mkdir()
    other.write_text("CUI,Canonical name\n")
    with pytest.raises(DatasetError, match="2 tables of concepts"):
        mapping_in(tmp_path)
    assert mapping_in(tmp_path, 2024) == table
    with pytest.raises(DatasetError, match="it has no concept"):
        concepts_in(other)
