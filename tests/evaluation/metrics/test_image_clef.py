"""ImageCLEF's scores by year: components by name, means over all of them or not at all."""

from math import exp, isnan

import numpy as np
import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError, RecipeError
from vesalius.evaluation.caveats import of_metrics
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.measuring import built
from vesalius.evaluation.metrics import image_clef, metrics

ROWS = [("CT scan showing lesions in the liver", "CT scans show a lesion of the liver"), ("", "")]


@pytest.fixture
def rows(prediction):
    return [prediction(a, gold, name=f"i{n}", group=f"i{n}") for n, (a, gold) in enumerate(ROWS)]


@pytest.fixture
def scores(rows):
    """scores(**parameters) -> value and absence by name, the prefix left out."""

    def measure(**parameters):
        found = evaluate(rows, [{"image_clef_caption": parameters}], resamples=0)
        (protocol,) = found.protocols.values()
        values = {s.metric.removeprefix("image_clef."): s.value for s in found.overall()}
        return values, {k.removeprefix("image_clef."): v for k, v in protocol["absent"].items()}

    return measure


@pytest.fixture
def fixed_encoder(monkeypatch):
    """Precision .2, recall .4, F1 .6 for every caption; notes the encoder that was asked."""
    encoders = []

    def compare(self, candidates, references):
        encoders.append(self)
        n = len(candidates)
        return np.tile([0.2, 0.4, 0.6], (n, 1)), {"unread": np.zeros(n), "cut": np.zeros(n)}

    monkeypatch.setattr(image_clef.Encoder, "compare", compare)
    return encoders


def values_file(tmp_path, *lines):
    path = tmp_path / "values.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize("year", [2023, 2024])
def test_2024_bertscore_f1_leads_and_rouge1_follows(year, scores, fixed_encoder):
    found, absent = scores(year=year)
    # both empty counts 1; ROUGE-1 unstemmed of the first pair: 3 of 7 and of 8 words... F .4
    assert found["bertscore_f1"] == pytest.approx((0.6 + 1) / 2)
    assert found["rouge1"] == pytest.approx((0.4 + 1) / 2)
    assert list(found)[:2] == ["bertscore_f1", "rouge1"]
    assert set(absent) == {"bleurt"}
    assert not fixed_encoder[0].idf
    protocol = metrics["image_clef_caption"](year=year).protocol
    assert protocol.foremost == ("image_clef.bertscore_f1", "image_clef.rouge1")
    assert protocol.version.endswith(str(year))


def test_bleu1_meteor_and_cider_are_those_of_the_normalised_captions(scores, fixed_encoder, rows):
    found, _ = scores()
    assert fixed_encoder
    # of 7 words ct, the and liver are right; the reference has 8: brevity penalty e^(1 - 8/7)
    assert found["bleu1"] == pytest.approx(3 / 7 * exp(1 - 8 / 7))
    alone = [
        Prediction(p.id, Answer(image_clef.image_clef(p.text)), references=(Answer(gold),))
        for p, gold in zip(rows, ["ct scans show a lesion of the liver", ""], strict=True)
    ]
    other = evaluate(alone, ["meteor_exact_stem", "cider_d"], resamples=0)
    for name in ("meteor_exact_stem", "cider_d"):
        assert found[name] == pytest.approx(other.score(name).value)


def test_2025_relevance_is_the_mean_of_recall_rouge_and_similarity(scores, fixed_encoder, tmp_path):
    file = values_file(
        tmp_path, "ID,similarity,concept_f1,align_score", "i0,0.2,.5,.7", "i1,.3,1,1"
    )
    found, absent = scores(year=2025, values=file)
    assert absent == {}
    # recall .4 and 1; ROUGE-1 .4 and 1; similarity 2.5 x .2 and, of an empty caption, 0
    first, second = (0.4 + 0.4 + 0.5) / 3, (1 + 1 + 0) / 3
    assert found["relevance"] == pytest.approx((first + second) / 2)
    assert found["factuality"] == pytest.approx(((0.5 + 0.7) / 2 + 1) / 2)
    assert fixed_encoder[0].idf  # over all references, whatever the setting


def test_2026_bleurt_joins_the_relevance_and_bertscore_is_f1(scores, fixed_encoder, tmp_path):
    file = values_file(tmp_path, "ID,bleurt,similarity", "i0,0.1,-0.5", "i1,0.3,0")
    found, absent = scores(year=2026, values=file)
    # a negative cosine counts 0
    first, second = (0.6 + 0.4 + 0 + 0.1) / 4, (1 + 1 + 0 + 0.3) / 4
    assert found["relevance"] == pytest.approx((first + second) / 2)
    assert isnan(found["factuality"])
    assert "concept_f1, align_score" in absent["factuality"]
    assert fixed_encoder


def test_a_mean_of_which_a_part_is_absent_is_not_measured_never_shorter(
    scores, fixed_encoder, rows
):
    found, absent = scores(year=2026)
    assert isnan(found["relevance"])
    assert found["rouge1"] == pytest.approx(0.7)  # what can be measured is
    assert set(absent) == {
        "relevance", "factuality", "similarity", "bleurt", "concept_f1", "align_score",
    }  # fmt: skip
    told = of_metrics(evaluate(rows, [{"image_clef_caption": {"year": 2026}}], resamples=0))
    assert any("UMLS licence" in sentence for sentence in told)
    assert any("image_clef.relevance not measured: the mean has parts" in line for line in told)


def test_a_skipped_component_is_named(scores, fixed_encoder):
    found, absent = scores(skip=["bertscore_f1", "bleu1"])
    assert isnan(found["bertscore_f1"])
    assert isnan(found["bleu1"])
    assert absent["bertscore_f1"] == absent["bleu1"] == "skipped"
    assert not fixed_encoder
    with pytest.raises(RecipeError, match="no component of 2024"):
        scores(skip=["similarity"])


def test_normalisation_hides_the_sequence_in_every_year(prediction, fixed_encoder):
    row = prediction("T1-weighted MRI", "T2-weighted MRI")
    for year in (2023, 2024, 2025, 2026):
        table = metrics["image_clef_caption"](year=year).measure([row])
        assert table["image_clef.rouge1"][0] == 1
    assert fixed_encoder


def test_align_score_reads_the_captions_as_they_are(monkeypatch, prediction, fixed_encoder):
    texts = []

    def compare(self, answers, references):
        texts.append((list(answers), list(references)))
        return np.ones(1), np.zeros(1)

    monkeypatch.setattr(image_clef.AlignScore, "compare", compare)
    metric = metrics["image_clef_caption"](year=2026, align_score="folder")
    table = metric.measure([prediction("T1, 5 mm.", "T2, 6 mm.")])
    assert texts == [(["T1, 5 mm."], [["T2, 6 mm."]])]
    assert table["image_clef.align_score"][0] == 1
    assert fixed_encoder


def test_the_hub_encoder_that_cannot_be_had_leaves_the_rest(monkeypatch, scores):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found, absent = scores(model="nobody/has-these", layer=40)
    assert isnan(found["bertscore_f1"])
    assert "cannot be reached" in absent["bertscore_f1"]
    assert found["rouge1"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["ID,similarity", "i0,0.1"], "no row for 1 of 2 predictions' images"),
        (["ID,similarity", "i0,0.1", "i0,0.1", "i1,0"], "line 3: an image is there twice"),
        (["ID,similarity", "i0,much", "i1,0"], "prediction 1's image is no number from -1 to 1"),
        (["ID,similarity", "i0,0.5", "i1,1.5"], "prediction 2's image"),
        (["ID,concept_f1", "i0,nan", "i1,1"], "no number from 0 to 1"),
        (["ID,score", "i0,1", "i1,1"], "has not the columns ID and one of similarity"),
        (["name,similarity", "i0,1", "i1,1"], "has not the columns"),
        (["ID,similarity", 'i0,"0.1', "i1,0"], "cannot be read as CSV"),
    ],
)
def test_a_file_of_values_is_read_strictly(lines, words, scores, fixed_encoder, tmp_path):
    with pytest.raises(DatasetError, match=words):
        scores(year=2025, values=values_file(tmp_path, *lines))
    assert len(fixed_encoder) <= 1


def test_other_values_are_another_protocol(tmp_path, scores):
    spec = {"image_clef_caption": {"year": 2025, "values": values_file(tmp_path, "ID,similarity")}}
    before = built(spec)[1].protocol.parameters["values"]
    values_file(tmp_path, "ID,similarity", "i0,1")
    assert built(spec)[1].protocol.parameters["values"] != before
    with pytest.raises(DatasetError, match="cannot be read"):
        scores(year=2025, values=str(tmp_path / "gone.csv"))


def concepts(answer, wanted, name="a", **more):
    return Prediction(
        name, Answer(concepts=answer), references=(Answer(concepts=wanted),), group=name, **more
    )


def test_concepts_the_primary_score_is_over_all_the_secondary_over_those_by_hand(tmp_path):
    path = tmp_path / "manual.csv"
    path.write_text("ID,CUIs\na,C0040405;C0817096\nb,C0009999\nc,c0024485\n")
    rows = [
        concepts(("C0040405", "C0009999"), ("c0040405", "C0817096")),
        concepts((), (), name="b"),
        concepts(("C0040405",), ("C0024485",), name="c"),
    ]
    found = evaluate(rows, [{"image_clef_concepts": {"manual": str(path)}}], resamples=0)
    # 2 x 1 / 4, both empty, nothing shared
    assert found.score("image_clef.concepts_f1").value == pytest.approx((0.5 + 1 + 0) / 3)
    # C0009999 is no manual concept: 2 x 1 / 3; b has none and is left out; c 0
    secondary = found.score("image_clef.concepts_f1_manual")
    assert (secondary.value, secondary.n) == (pytest.approx((2 / 3 + 0) / 2), 2)


def test_concepts_without_the_manual_table_it_is_not_measured():
    found = evaluate([concepts((), ())], ["image_clef_concepts"], resamples=0)
    assert found.score("image_clef.concepts_f1").value == 1
    assert isnan(found.score("image_clef.concepts_f1_manual").value)
    assert "manual=FILE" in of_metrics(found)[0]


def test_an_abstention_has_no_concepts(tmp_path):
    path = tmp_path / "manual.csv"
    path.write_text("ID,CUIs\na,C0040405\n")
    wanted = (Answer(concepts=("C0040405",)),)
    row = Prediction("a", Answer(""), references=wanted, abstained=True)
    table = metrics["image_clef_concepts"](manual=str(path)).measure([row])
    assert [table[f"image_clef.concepts_f1{end}"][0] for end in ("", "_manual")] == [0, 0]
