"""Negation, sides and numbers in a text."""

from __future__ import annotations

from vesalius.language.assertions import assertions, numbers, sides


def test_a_negation_reaches_six_words_and_stops_at_a_stop():
    found = assertions("No effusion. A mass in the lung")
    assert found == {"effusion": False, "mass": True, "lung": True}
    far = assertions("no one two three four five six seven")
    assert (far["six"], far["seven"]) == (False, True)
    assert assertions("no one two three four five six seven", scope=9)["seven"] is False


def test_a_cue_behind_reaches_back():
    assert assertions("the spleen is not seen") == {"spleen": False}


def test_short_words_count_where_asked():
    assert assertions("not a CT") == {}
    assert assertions("not a CT", shortest=2) == {"ct": False}


def test_sides_and_numbers():
    assert sides("left-sided and right") == {"left", "right"}
    assert sides("both a mass and a cyst") == set()  # "both" joins two things
    assert sides("in both lungs") == {"left", "right"}
    assert numbers("T2, 2.5 cm and 2,5") == ["t2", "2.5", "2.5"]
