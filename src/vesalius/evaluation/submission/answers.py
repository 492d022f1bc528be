"""From predictions to what a submission says of each image."""

from __future__ import annotations

from collections.abc import Iterable

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.submission.forms import TASKS, Fault, Form, Task
from vesalius.evaluation.submission.rows import Rows, Submission


def tasks_of(predictions: Iterable[Prediction], where: object) -> tuple[Task, ...]:
    """The tasks that predictions answer; RunError if there is none.

    Where any has concepts, a text counts as a caption only if it is more than their list, which is
    what a model of concepts writes.
    """
    answers = [one.answer for one in predictions]
    concepts = any(one.concepts is not None for one in answers)
    captions = any(_is_caption(one) for one in answers if not concepts or one.concepts is not None)
    tasks = tuple(t for t, there in zip(TASKS, (captions, concepts), strict=True) if there)
    if not tasks:
        raise RunError("no prediction has a caption or concepts", where=where)
    return tasks


def submission(
    predictions: Iterable[Prediction], form: Form, ids: tuple[str, ...], where: object
) -> Submission:
    """What the predictions say of the images ``ids``, each of which has one.

    White space within a caption, line ends among it, becomes one space; nothing else is changed.
    An image for which a model abstained has no concepts. DatasetError names the first predictions
    that are of no such image, of one again, or that cannot stand in the file.
    """
    rows = Rows(form, ids)
    for number, one in enumerate(predictions, start=1):
        place = f"prediction {number}"
        try:
            rows.add(place, one.case or one.id, _value(one, form.task))
        except Fault as fault:
            rows.refuse(place, str(fault))
    return rows.submission(where)


def _value(prediction: Prediction, task: Task) -> str:
    answer = prediction.answer
    if task == "captions":
        if answer.text is None and not prediction.abstained:
            raise Fault("the answer has no text")
        return " ".join(prediction.text.split())
    if answer.concepts is None and not prediction.abstained:
        raise Fault("the answer has no concepts")
    return ";".join(answer.concepts or ())


def _is_caption(answer: Answer) -> bool:
    if answer.text is None or answer.concepts is None:
        return answer.text is not None
    parts = {part.strip() for part in answer.text.split(";")}
    return not parts <= {*answer.concepts, "none", ""}
