"""A small byte-level tokenizer trained on the words at hand, for models trained from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from vesalius.cases.dialogue import Dialogue


def train_tokenizer(
    texts: Iterable[str],
    *,
    vocabulary: int,
    special: dict[str, str],
    extra: tuple[str, ...],
    chat_template: str | None,
    named: Mapping[str, str] = MappingProxyType({}),
    around: str = "",
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most ``vocabulary`` tokens; any text can be written with it.

    ``special`` names roles (``eos_token`` ...), ``extra`` further reserved tokens, ``named`` those
    that a processor asks the tokenizer for (``image_token`` ...). ``around``: words of the chat
    template, which stand around every text and so are as frequent. The order of ``texts`` does not
    matter, so the same words give the same tokenizer.
    """
    model = Tokenizer(BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    reserved = list(dict.fromkeys([*special.values(), *extra, *named.values()]))
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=reserved,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(
        (part for text in sorted(set(texts)) for part in (around, text)), trainer
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model, **special, extra_special_tokens=dict(named) or list(extra)
    )
    if named:
        tokenizer.add_special_tokens({"additional_special_tokens": list(extra)})
    if chat_template:
        tokenizer.chat_template = chat_template
    return tokenizer


def words_of(dialogues: Iterable[Dialogue]) -> Iterator[str]:
    """Every text in the dialogues: what a small tokenizer is trained on."""
    for dialogue in dialogues:
        yield from dialogue.context.values()
        if dialogue.system is not None:
            yield dialogue.system
        for turn in dialogue.turns:
            yield turn.question.text
            answers = (*turn.question.answers, *([turn.reply] if turn.reply else []))
            yield from (a.text for a in answers if a.text)
