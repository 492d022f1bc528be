"""The report: one page, self-contained, everything escaped, nothing invented."""

import io
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from PIL import Image

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.evaluate import evaluate_run, predictions_sha256
from vesalius.evaluation.judging.judgements import Judgement, Judgements
from vesalius.evaluation.judging.results import UNCHECKED
from vesalius.evaluation.probe_results import Probes, save_probes
from vesalius.evaluation.probes import probe
from vesalius.evaluation.report import report
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.system.files import append_lines, write_json

EVIL = "<script>alert('x')</script>"


def make_run(path, *, name="nano", metrics=("squad", "closed"), rows=None, **status):
    recipe = {
        "name": name,
        "description": f"a {EVIL}",
        "data": {"dataset": "phantom"},
        "model": {"name": "composed"},
        "evaluation": {"metrics": list(metrics), "resamples": 30},
    }
    run = Run.create(path / name, Recipe.model_validate(recipe))
    run.append(rows if rows is not None else made())
    run.finish(**status)
    return run


def made(right=6, said="yes", confidence=True):
    return [
        Prediction(
            f"q{i}",
            Answer(said if i < right else EVIL, boxes=(Box(1, 1, 5, 5, EVIL),)),
            question=f"Is it {EVIL}?",
            references=(Answer("yes"),),
            group=f"g{i // 2}",
            category=("organ", EVIL)[i % 2],
            picture=f"p{i}.png" if i else None,
            confidence=Confidence(0.4 + 0.05 * i, EVIL) if confidence else None,
        )
        for i in range(10)
    ]


def picture(key):
    if key == "p3.png":
        return None
    if key == "p4.png":
        return b"not a picture"
    file = io.BytesIO()
    Image.new("L", (64, 48), 80).save(file, "PNG")
    return file.getvalue()


class Page(HTMLParser):
    """Collects tags and what they point at."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.targets = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.targets += [value for name, value in attrs if name in {"src", "href"}]


@pytest.fixture
def page(tmp_path):
    main = make_run(tmp_path, weights="random", peak_memory_mb=512.5)
    main.append(made(right=2, confidence=False), "blank")
    append_lines(main.log, [{"step": 1, "loss": 2.0}, {"step": 5, "loss": 1.0, "epoch": 1.0}])
    append_lines(main.log, [{"step": 5, "validation": 0.5, "epoch": 1.0}])
    other = make_run(tmp_path, name="majority", rows=made(right=3, confidence=False))
    out = tmp_path / "report.html"
    assert report([main, other], out, picture) == out
    return out.read_text(encoding="utf-8")


def test_everything_is_escaped(page):
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "script" not in Page(page).tags


def test_nothing_is_fetched(page):
    targets = Page(page).targets
    assert all(t.startswith(("#", "data:image/jpeg;base64,")) for t in targets)
    assert "http" not in re.sub(r"data:[^\"]+", "", page).replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_sections(page):
    for part in ("scores", "picture", "slices", "confidence", "training", "cases", "limits"):
        assert f'<section id="{part}">' in page
    assert "Research use only, not a medical device." in page
    assert "random weights" in page
    assert "prefers-color-scheme: dark" in page


def test_every_headline_names_count_and_protocol(page):
    head = page.split('<div class="headline">')[1].split("<h3>")[0]
    assert head.count("n = ") == head.count('class="big"') == head.count("faint protocol")
    assert "squad.em" in head


def test_blank_pictures_show_the_gain(page):
    # 6 of 10 with pictures, 2 of 10 without
    assert "+0.400" in page.split('<section id="picture">')[1]


def test_what_its_metrics_see_stands_as_a_table_behind_the_limits(page):
    part = page.split('<section id="limits">')[1].split("</section>")[0]
    assert "<summary>What each score sees" in part
    row = part.split("<th>squad.f1</th>")[1].split("</tr>")[0]
    assert "<b>blind</b>" in row


def test_provenance(page):
    part = page.split('<section id="provenance">')[1]
    assert "512.5" in part
    assert "resamples: 30" in part
    assert re.search(r"predictions-blank\.jsonl</th><td><code>[0-9a-f]{64}", part)


def test_a_bare_run_needs_none_of_the_extras(tmp_path):
    rows = [Prediction("a", Answer("lung"), references=(Answer("lung"),))]
    run = make_run(tmp_path, rows=rows)
    report([run], tmp_path / "out.html", lambda key: None)
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert '<section id="training">' not in text
    assert '<section id="confidence">' not in text
    assert "not measured" in text  # the closed scores


def test_captions_are_chosen_by_a_score_that_rows_have(tmp_path):
    run = make_run(tmp_path, metrics=("bleu",))
    report([run], tmp_path / "out.html", picture)
    assert "Chosen by squad.f1" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_other_questions_are_not_compared(tmp_path):
    other = [Prediction("z", Answer("no"), references=(Answer("no"),))]
    runs = [make_run(tmp_path), make_run(tmp_path, name="other", rows=other)]
    report(runs, tmp_path / "out.html", picture)
    assert "not comparable" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_refusals(tmp_path):
    with pytest.raises(RunError, match="at least one run"):
        report([], tmp_path / "out.html", picture)
    unscored = make_run(tmp_path, rows=[Prediction("a", Answer("x"))])
    with pytest.raises(RunError, match="could be measured"):
        report([unscored], tmp_path / "out.html", picture)


@pytest.mark.parametrize("metrics", [["bleu"], ["squad", "closed", "calibration"]])
def test_stored_scores_are_not_believed(tmp_path, metrics):
    run = make_run(tmp_path, rows=made(right=2))
    write_json(run.scores_file(), evaluate_run(run, metrics=metrics).to_json())
    run.predictions_file().unlink()
    run.append(made(right=7))  # as many answers as before, and better ones
    report([run], tmp_path / "out.html", picture)
    head = (tmp_path / "out.html").read_text(encoding="utf-8").split('class="headline"')[1]
    # squad.em of 10: seven right now, two before
    assert "0.700" in head
    assert "0.200" not in head.split("<h3>")[0]


def test_a_fault_is_not_taken_for_other_questions(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RunError("the disk is gone")

    monkeypatch.setattr("vesalius.evaluation.run_results.compare", broken)
    runs = [make_run(tmp_path), make_run(tmp_path, name="other")]
    with pytest.raises(RunError, match="the disk is gone"):
        report(runs, tmp_path / "out.html", picture)


def test_a_judge_is_on_the_page_with_its_warning_and_what_was_not_measured(tmp_path):
    run = make_run(tmp_path)
    judgements = Judgements(run, "j-correctness")
    judgements.begin({"judge": "j", "rubric": EVIL, "axes": ["correctness", "clarity"]})
    judgements.append(
        [
            Judgement(Rating("", "q0", "judge:j", {"correctness": 2}, ("side",))),
            Judgement(Rating("", "q1", "judge:j", {}), unmeasured="no JSON"),
        ]
    )
    report([run], out := tmp_path / "report.html", picture)
    page = out.read_text(encoding="utf-8")
    part = unescape(page.split('<section id="judges">')[1].split("</section>")[0])
    assert part.index(UNCHECKED) < part.index("2.000")
    assert "1 of 2 (50%) are not measured: no JSON 1." in part
    assert part.count('<td colspan="2" class="faint">not measured</td>') == 1
    assert "answers with the error side" in part
    assert "<script" not in page


def test_a_run_without_judges_has_no_such_section(page):
    assert 'id="judges"' not in page


def probed(run):
    """The run with its answers to blank pictures measured, and what it cannot have beside them."""
    row = SimpleNamespace(
        name="blank", what=EVIL, quantity="remains", sentence="{share} of it", without_picture=True
    )
    run.append(made(right=2), "blank")
    own, blank = list(run.predictions()), list(run.predictions("blank"))
    result = probe(row, own, blank, spec="squad", metric="squad.em", draws=Draws(30))
    result = replace(result, predictions_sha256=predictions_sha256(run, "blank"))
    rows = (result, replace(result, name="boxes", scores={}, reason="no case has boxes"))
    sets = {"blank": "blank", "boxes": "boxes"}
    save_probes(run, Probes("squad.em", "squad", "test", rows, sets, "", predictions_sha256(run)))


def test_probes_are_told_verdict_first(tmp_path):
    run = make_run(tmp_path)
    probed(run)
    text = report([run], tmp_path / "r.html", picture).read_text()
    # golds are all "yes": nothing is better than that constant
    assert '<p class="verdict">Image reliance is not measured: squad.em is no better' in text
    assert re.search(r"<li>33 % \[\d+, \d+\] of it\.</li>", text)  # 2 of 6 right ones
    assert "<li>boxes: no case has boxes</li>" in text
    assert "Does it look at the picture?" not in text  # told once
    assert EVIL not in text
    assert Page(text).targets.count("#probes") == 1


def test_probes_of_other_answers_are_not_shown(tmp_path):
    run = make_run(tmp_path)
    probed(run)
    run.append([Prediction("more", Answer("x"), group="g")], "blank")
    text = report([run], tmp_path / "r.html", picture).read_text()
    assert "Answers have changed since these were probed: blank." in text
    assert "of it." not in text
    assert "verdict" not in text.partition("<main>")[2]
