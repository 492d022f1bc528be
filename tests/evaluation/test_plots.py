"""Plots are valid, escaped, and empty where there is nothing to draw."""

from math import nan
from xml.etree import ElementTree

import numpy as np

from vesalius.evaluation import plots
from vesalius.evaluation.calibration import reliability, risk_coverage


def drawn(svg):
    return ElementTree.fromstring(str(svg))


def test_whiskers():
    rows = [
        plots.Dot("<b>", 0.5, 0.4, 0.6, strong=True),
        plots.Dot("none", nan, nan, nan),
        plots.Dot("one group", 1.0, nan, nan),
    ]
    svg = plots.whiskers(rows)
    assert "<b>" not in svg
    assert "not measured" in svg
    tree = drawn(svg)
    assert len(tree.findall("circle")) == 2
    assert sum("whisker" in line.get("class") for line in tree.findall("line")) == 1


def test_the_scale_places_the_dot():
    tree = drawn(plots.whiskers([plots.Dot("a", v, nan, nan) for v in (0.0, 0.5, 1.0)]))
    left, middle, right = (float(c.get("cx")) for c in tree.findall("circle"))
    assert abs((left + right) / 2 - middle) < 0.2


def test_lines():
    assert plots.lines([("loss", [])], across="step", up="loss") == ""
    one = plots.lines([("loss", [(1.0, 2.0), (2.0, nan)])], across="step", up="loss")
    assert len(drawn(one).findall("polyline")) == 1


def test_calibration_plots():
    said, right = np.array([0.2, 0.9, 0.9]), np.array([0.0, 1.0, 0.0])
    assert len(drawn(plots.reliability(reliability(said, right))).findall("circle")) == 2
    assert drawn(plots.risk_coverage(*risk_coverage(said, right))).findall("polyline")
    sure = plots.risk_coverage(*risk_coverage(np.ones(1), np.ones(1)))
    assert drawn(sure).findall("polyline")
