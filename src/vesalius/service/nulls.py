"""JSON's null in an optional field is the field's absence: many clients write every field."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, model_validator


class NullIsAbsent(BaseModel):
    """A model whose fields have their defaults where null is sent; a required one is missing."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}
