"""Pages that are files, in a browser: a report, a comparison, an audit; none asks for more."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import DESKTOP, PHONE, needs_chromium, serious
from playwright.sync_api import Browser

from planted_faults import planted
from vesalius import Recipe, Run, evaluate, fit, predict, probe
from vesalius.data.open import open_dataset
from vesalius.steps.audit import audit
from vesalius.steps.audit_page import write_page
from vesalius.steps.comparison_page import comparison_page
from vesalius.steps.report import report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    options = {"cases": {"train": 6, "validation": 1, "test": 6}, "size": 40}
    made = []
    for model in ("majority", "nearest"):
        recipe = {"name": model, "data": {"dataset": "phantom", "options": options}}
        whole = recipe | {"model": {"name": model}, "evaluation": {"resamples": 100}}
        made.append(fit(Recipe.model_validate(whole), folder / model))
        predict(made[-1])
    probe(made[1])
    for run in made:
        evaluate(run, clean=[made[0].path])
    return made


@pytest.fixture
def page_of(runs: list[Run], tmp_path: Path) -> dict[str, object]:
    def audited(file: Path) -> None:
        planted(tmp_path / "set")
        dataset = open_dataset("folder", tmp_path / "set")
        write_page(audit(dataset, "set", text_sample=0).verdict, dataset, file)

    return {
        "report": lambda file: report(*reversed(runs), out=file),
        "comparison": lambda file: comparison_page(
            *[run.path for run in runs], out=file, resamples=100
        ),
        "audit": audited,
    }


@pytest.mark.parametrize("name", ["report", "comparison", "audit"])
def test_it_asks_for_nothing_and_fits(
    name: str, page_of: dict[str, object], browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    page_of[name](file)
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    urls: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(file.as_uri())
    assert page.locator("h1").count() == 1
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert serious(page) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert "Research use only" in page.content()
    context.close()
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert faults == []
