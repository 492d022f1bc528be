"""Questions translated there and back by any model: other words that nobody wrote on purpose.

Source: R. Sennrich, B. Haddow, A. Birch, Improving neural machine translation models with
monolingual data, ACL 2016; as paraphrases of questions A. W. Yu et al., QANet, ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from vesalius.cases.case import Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.data.perturb.translations import FILE, translations
from vesalius.data.perturb.words import table
from vesalius.errors import ModelError, RunError
from vesalius.models import each
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.steps.judges import Judge
from vesalius.steps.prepare import dialogues
from vesalius.steps.request import chunks, connect
from vesalius.system.files import append_lines, mend_lines
from vesalius.system.pace import progress


def translate(
    run: Run,
    by: Judge,
    language: str = "German",
    *,
    split: str | None = None,
    limit: int | None = None,
) -> None:
    """Have a model translate a split's questions into a language and back, into the run's file.

    Of the first ``limit`` questions of the split (by default the test split) those in English. What
    is there already is not asked again; a question that the model leaves unanswered, or whose reply
    is cut, is. RunError where the file is another translator's, or of another language;
    ModelError for a model that answers about pictures alone.
    """
    if by.model.needs_image:
        raise ModelError("this model answers about pictures alone", where=by.label)
    facts = {"by": dict(by.facts), "language": language}
    file = run.path / FILE
    mend_lines(file)
    there = translations(run.path)
    if any(row["translator"] != facts for row in there):
        hint = "remove it, and the answers under back-translated"
        raise RunError("is of another translator or language", where=file, hint=hint)
    done = {row["question"] for row in there}
    data = run.recipe().data
    asked = islice(dialogues(data, split or data.splits.test or ""), limit)
    english = (one.question.text for one in asked if one.question.language.split("-")[0] == "en")
    todo = (text for text in dict.fromkeys(english) if text not in done)
    decoding = by.decoding.model_copy(update={"temperature": 0.0})
    connect(by.model, lambda: 0)
    with progress(f"translating by {by.label}") as bar:
        task = bar.add_task("", done=len(done))
        for chunk in chunks(todo, decoding.batch):
            abroad = _replies(by, decoding, "there", chunk, language)
            back = _replies(by, decoding, "back", list(abroad.values()), language)
            rows = [
                {"question": q, "there": abroad[q], "back": back[abroad[q]], "translator": facts}
                for q in chunk
                if abroad.get(q) in back
            ]
            append_lines(file, rows)
            done.update(chunk)
            bar.update(task, done=len(done))


def _replies(
    by: Judge, decoding: Decoding, way: str, texts: Sequence[str], language: str
) -> dict[str, str]:
    """What the model makes of each text, by the text; those that it finished."""
    prompt = table("wording.yaml")["translation"][way]
    asked = [
        Dialogue(str(at), (Turn(Question(prompt.format(language=language, question=text))),), "")
        for at, text in enumerate(texts)
    ]
    replies = each(by.model, asked, decoding)
    return {
        texts[int(reply.id)]: " ".join(reply.text.split())
        for reply in replies
        if reply.text.strip() and reply.finish != "length"
    }
