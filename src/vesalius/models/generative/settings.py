"""The settings of generative learners, as a recipe's ``model:`` block."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from vesalius.cases.tasks import Content
from vesalius.models.generative.text.families import NamedConvention, family
from vesalius.settings import Frozen
from vesalius.training.device import Device
from vesalius.training.parts import Role
from vesalius.training.quantize import Quantization
from vesalius.training.settings import Adapter, Precision, Training


class ImageTokens(Frozen):
    """How many tokens a picture may become."""

    max: int | None = Field(default=None, ge=1)
    """At most so many, by the processor's own setting (tiles, pixels); pictures are shown smaller
    for it. Families that make one number of every picture are refused where that is more."""

    @model_validator(mode="before")
    @classmethod
    def _a_block(cls, data: Any) -> Any:
        if not isinstance(data, dict | cls):
            raise ValueError("is a block, for example image_tokens: {max: 512}")
        return data


class Trained(Frozen):
    """Settings of all learners that fit and ask a transformers model which writes text."""

    ORIGIN: ClassVar[tuple[str, ...]] = ()
    """The keys that say what the untrained model is."""

    start: str | None = None
    """A run to start from: its folder. Its model, adapters merged, takes the place of the untrained
    one, with its processor. ``{run}`` in it stands for this run's own folder."""
    roles: dict[str, Role] = Field(default={"language": "adapter"})
    """What trains: ``language``, the whole model, is adapter, full or frozen. If it is frozen, the
    run is the untuned model."""
    adapter: Adapter = Adapter()
    training: Training = Training()
    precision: Precision = "auto"
    """What training computes in; ``auto``: bf16 where the machine is fast at it (a GPU, or a
    CPU with AMX or AVX512-BF16), else fp32; fp16 on older GPUs. Weights that train stay in fp32."""
    quantization: Quantization | None = None
    """``nf4``: the language model's linear layers in 4 bits, frozen, with adapters on them (QLoRA);
    vision and projector stay as they are. Also on the CPU, to try it out."""
    device: Device = "auto"
    """``cuda`` is refused where there is none; ``auto`` takes what there is."""
    max_length: int = Field(default=2048, ge=16)
    """Tokens a row may hold, image tokens included; longer dialogues are refused."""
    answers: Content | None = Field(default=None, exclude_if=lambda value: value is None)
    """What replies say: ``text``, ``boxes`` in the family's own convention, or ``concepts`` parted
    by ``; ``. By default what the task's references hold."""
    boxes: NamedConvention | None = Field(default=None, exclude_if=lambda value: value is None)
    """How boxes are written where not as the family's row says: another family's name, or a block
    such as ``{key: bbox_2d, scale: 1000, digits: 0}``."""
    chat_template: str | None = None
    """A Jinja chat template in the place of the model's own, for training and for asking."""
    allow_pickle: bool = False
    """Read weights that are there as a pickle only (``*.bin``), not as safetensors. A pickle can
    run code: name this for weights that you trust."""
    trust_remote_code: bool = False
    """Run the code that a hub model brings with it. Read it first."""


class Settings(Trained):
    """Settings that all learners share whose models see pictures."""

    roles: dict[str, Role] = Field(
        default={"vision": "frozen", "projector": "frozen", "language": "adapter"}
    )
    """What trains: each part (vision, projector, language; the families table has more) is frozen,
    adapter or full. A part that is not named is frozen; if all are, the run is the untuned
    baseline."""
    image_tokens: ImageTokens = Field(
        default=ImageTokens(), exclude_if=lambda value: value.max is None
    )
    """``{max: N}``: at most N tokens of a picture, for families that tile or take any size."""
    share_image: bool = True
    """Pack dialogues about one picture behind one image prefix."""
    questions_per_row: int = Field(default=16, ge=1)
    """At most so many dialogues behind one image prefix; more make another row."""
    keep_features: str | None = None
    """A folder in which the features of a frozen vision tower are kept, for this fit and later
    ones: each picture goes through the tower once. It grows by image tokens x width x 2 or 4 bytes
    a picture."""


class GenerativeSettings(Settings):
    """A transformers model by hub id or folder, or its tiny offline form."""

    ORIGIN: ClassVar[tuple[str, ...]] = ("weights", "revision", "family", "tiny")

    weights: str | None = None
    """Hub id or local folder; only safetensors are read."""
    revision: str | None = None
    """A branch, tag or commit of the hub repository."""
    family: str | None = None
    """The row of the families table; read off the weights unless ``tiny``."""
    tiny: bool = False
    """The family's architecture at toy size with random weights: offline, for trying things out."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.tiny == (self.weights is not None):
            raise ValueError("name either weights or tiny: true with a family")
        if self.tiny and self.family is None:
            raise ValueError("tiny needs a family")
        if self.family is not None:
            family(self.family)
        return self
