"""Overlap scores equal to the libraries that define them."""

import shutil

import pytest
import sacrebleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from rouge_score.rouge_scorer import RougeScorer

from vesalius.evaluation.metrics import metrics
from vesalius.evaluation.metrics.ngrams import coco_tokens

CORPUS = [
    ("CT scan showing lesions in the liver", ["CT scans show a lesion of the liver"]),
    ("Chest x-ray with a large left pleural effusion.", ["Left pleural effusion on chest X-ray."]),
    ("MRI of the brain. No mass.", ["Brain MRI without a mass", "MRI of the brain: no mass seen"]),
    ("the the the the", ["the heart is enlarged, the lungs are clear"]),
    ("", ["Normal abdominal radiograph"]),
    ("Axial CT", ["Axial CT of the abdomen showing a 12 mm stone in the right kidney"]),
]


@pytest.fixture
def rows(prediction):
    return [prediction(said, *golds, name=str(i)) for i, (said, golds) in enumerate(CORPUS)]


def test_rouge_stemmed_and_not(scored, rows):
    # ct, the, liver of 7 and 8: 2*3/15 = .4; stemmed scan, show, lesion too: 2*6/15 = .8
    row = rows[0]
    assert scored("rouge", row)["rouge.1"] == pytest.approx(0.4)
    assert scored({"rouge": {"stemmed": True}}, row)["rouge.1.stemmed"] == pytest.approx(0.8)


def test_rouge_equals_rouge_score(scored, rows):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    found = scored("rouge", *rows)
    for kind, value in found.items():
        each = [
            scorer.score_multi(golds, said)[kind.replace("rouge.", "rouge")].fmeasure
            for said, golds in CORPUS
        ]
        assert value == pytest.approx(sum(each) / len(each))


def test_tolerant_names_its_threshold(prediction, scored):
    # ROUGE-L of "left lung" in "the left upper lung": 2 of 2 and 2 of 4, F 2*1*.5/1.5 = .667
    row = prediction("left lung", "the left upper lung")
    near = scored({"tolerant": {"threshold": 0.6}}, row)
    far = scored({"tolerant": {"threshold": 0.7}}, row)
    assert (near, far) == ({"tolerant.rougeL_0.6": 1.0}, {"tolerant.rougeL_0.7": 0.0})


def test_tolerant_hears_yes_and_no_strictly(prediction, scored):
    verbose = "Yes, a very large mass is seen in this picture of the head"
    assert scored("tolerant", prediction(verbose, "yes"))["tolerant.rougeL_0.5"] == 1
    assert scored("tolerant", prediction("normal lungs", "no"))["tolerant.rougeL_0.5"] == 0


@pytest.mark.parametrize("lowercase", [False, True])
def test_bleu_equals_sacrebleu(lowercase, scored, rows):
    widest = max(len(golds) for _, golds in CORPUS)
    streams = [[g[i] if i < len(g) else None for _, g in CORPUS] for i in range(widest)]
    theirs = sacrebleu.corpus_bleu([s for s, _ in CORPUS], streams, lowercase=lowercase)
    ours = scored({"bleu": {"lowercase": lowercase}}, *rows)["bleu"]
    assert ours == pytest.approx(theirs.score / 100)
    assert theirs.score > 0


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("a b c", "a b c"),  # no 4-grams at all: 0
        ("a b c d e", "e d c b a"),  # smoothed orders 2 to 4
        ("x y z w", "a b c d"),  # no match at all: 0
    ],
)
def test_bleu_smoothing_equals_sacrebleu(said, gold, prediction, scored):
    theirs = sacrebleu.corpus_bleu([said], [[gold]]).score / 100
    assert scored("bleu", prediction(said, gold))["bleu"] == pytest.approx(theirs)


def test_bleu_signature_is_in_the_protocol():
    protocol = metrics["bleu"]().protocol
    assert "tok:13a" in protocol.parameters["signature"]
    assert protocol.version == sacrebleu.__version__


def tokenised():
    golds = {i: [" ".join(coco_tokens(g)) for g in golds] for i, (_, golds) in enumerate(CORPUS)}
    said = {i: [" ".join(coco_tokens(s))] for i, (s, _) in enumerate(CORPUS)}
    return golds, said


def test_coco_bleu_equals_pycocoevalcap(scored, rows):
    golds, said = tokenised()
    theirs, _ = Bleu(4).compute_score(golds, said, verbose=0)
    found = scored("bleu_coco", *rows)
    assert [found[f"bleu_coco.{k}"] for k in (1, 2, 3, 4)] == pytest.approx(theirs)


def test_cider_d_equals_pycocoevalcap(scored, rows):
    golds, said = tokenised()
    scorer = CiderScorer(n=4, sigma=6.0)
    for i in golds:
        scorer += (said[i][0], golds[i])
    theirs, each = scorer.compute_score()
    assert scored("cider_d", *rows)["cider_d"] == pytest.approx(float(theirs))
    ours = metrics["cider_d"]().measure(rows)["cider_d"]
    assert ours == pytest.approx(each)


def test_cider_d_of_one_image_is_nought(scored, rows):
    # log(1) = 0: every n-gram is in every reference, so every weight is 0
    assert scored("cider_d", rows[1])["cider_d"] == 0


def test_coco_tokens_drop_punctuation_and_split_sentences():
    words = coco_tokens('The "left" lung. No mass (12 mm), T2-weighted.')
    kept = ["-lrb-", "12", "mm", "-rrb-"]
    assert words == ["the", "left", "lung", "no", "mass", *kept, "t2-weighted"]


LIKE_STANFORD = [
    "The patient’s T2-weighted MRI (axial) shows a 12mm lesion; no edema.",
    "Arrow [a] in fig. 2 vs. Fig. 3, e.g. 1.5cm, 3–4 cm × 2 cm ≤ 5°.",
    "A “mass” – 'small' -- of the left- and right-sided lung; HCV+ 50% ~2.",
    "No. 5 of Dr. Smith's cases. No mass. Größe 5 cm, ½ of it.",
]


@pytest.mark.skipif(shutil.which("java") is None, reason="COCO's tokeniser needs Java")
def test_coco_tokens_equal_the_tokens_of_the_coco_tools():
    rows = {i: [{"caption": text}] for i, text in enumerate([*LIKE_STANFORD, *said_and_golds()])}
    theirs = PTBTokenizer().tokenize(rows)
    for i, [row] in rows.items():
        assert coco_tokens(row["caption"]) == theirs[i][0].split()


def said_and_golds():
    return [text for said, golds in CORPUS for text in (said, *golds) if text]


def test_meteor_matches_stems_but_no_synonyms(prediction, scored):
    same = scored("meteor_exact_stem", prediction("two large lesions", "two large lesions"))
    # 3 matches in 1 chunk: penalty .5*(1/3)^3 = 1/54
    assert same["meteor_exact_stem"] == pytest.approx(1 - 0.5 / 27)
    stems = scored("meteor_exact_stem", prediction("two large lesion", "two large lesions"))
    assert stems == same
    other = scored("meteor_exact_stem", prediction("tumour", "neoplasm"))
    assert other["meteor_exact_stem"] == 0


@pytest.mark.parametrize("smoothing", ["exp", "floor", "add-k", "none"])
def test_sentences_equal_sacrebleu(scored, rows, smoothing):
    values = [
        sacrebleu.sentence_bleu(row.text, [a.text for a in row.references], smooth_method=smoothing)
        for row in rows
    ]
    found = scored({"bleu_sentence": {"smoothing": smoothing}}, *rows)
    wanted = sum(value.score for value in values) / len(values) / 100
    assert found == {f"bleu_sentence.{smoothing}": pytest.approx(wanted)}


def test_summaries_by_line(scored, prediction):
    """Lines match in any order: L of whole texts is half, Lsum all; two full stops are one line."""
    row = prediction("no mass\nleft effusion", "left effusion\nno mass")
    found = scored({"rouge": {"summary": True}}, row)
    assert found["rouge.L"] == pytest.approx(0.5)
    assert found["rouge.Lsum"] == pytest.approx(1.0)
    flat = scored({"rouge": {"summary": True}}, prediction("no mass. left", "left. no mass"))
    assert flat["rouge.Lsum"] == pytest.approx(flat["rouge.L"])
