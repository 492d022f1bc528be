"""A local language model as a function from a prompt to a text."""

from __future__ import annotations

from collections.abc import Callable

import torch

from vesalius.models import composing


def local_writer(name: str = "smollm2", *, max_new_tokens: int = 96) -> Callable[[str], str]:
    """A writer on ``smollm2`` (packaged, Apache-2.0), or a causal LM by hub id or folder.

    Greedy, so the same prompt gives the same text; it is cut after ``max_new_tokens``. ModelError
    if the model cannot be loaded, MissingExtra if the packaged one is not installed.
    """
    language = composing.language(name, {}, words=(), vocabulary=0)
    tokenizer, model = language.tokenizer, language.model.eval()
    if model.get_input_embeddings().num_embeddings < len(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")

    def write(prompt: str) -> str:
        messages = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False).to(model.device)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = output[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(new, skip_special_tokens=True)).strip()

    return write
