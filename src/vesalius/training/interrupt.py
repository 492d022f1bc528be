"""Being told to stop: the step is finished, a checkpoint saved, and the same command goes on."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vesalius.errors import RunError
from vesalius.training.processes import highest

Handler = Any  # what signal.signal takes and returns


class Stopped(RunError):
    """Training was told to stop, and did so with a checkpoint; ``exit_code`` is 128 + signal."""

    def __init__(self, step: int, number: int, *, where: object) -> None:
        self.exit_code = 128 + number
        super().__init__(f"stopped at step {step}; the same command goes on", where=where)


class Interrupt(TrainerCallback):
    """Listens for SIGINT and SIGTERM while it is entered, and stops training after the step.

    The second signal acts as it would have without us. Python delivers signals to the main thread
    only; in another one nothing is listened for. All processes stop at the same step, whichever
    of them was told.
    """

    def __init__(self) -> None:
        self.stopping = False
        """Whether training ends with the step under way because it was told to."""
        self._signal = 0
        self._before: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Train no further where a run was stopped after its last step."""
        if state.global_step >= state.max_steps:
            control.should_training_stop = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save and stop if any of the processes was told to."""
        if self.signal_number():
            self.stopping = control.should_save = control.should_training_stop = True

    def signal_number(self) -> int:
        """The signal that any of the processes has heard; 0: none. All must ask."""
        return highest(self._signal)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
