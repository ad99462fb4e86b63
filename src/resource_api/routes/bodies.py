"""What a caller may send: read by FastAPI, bounded here. The limits are the published schema's, to the letter."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from resource_api.todos.model import MAX_DESCRIPTION, MAX_ID, MAX_OWNER

# No control character, and at least one that is no space.
_SAYS_SOMETHING = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$"

Description = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_DESCRIPTION, pattern=_SAYS_SOMETHING),
    Field(description="One line of text. Spaces around it are dropped.", examples=["Water the plants"]),
]


class TodoItem(BaseModel):
    """A to-do."""

    id: Annotated[int, Field(ge=1, le=MAX_ID)]
    owner: Annotated[str, Field(min_length=1, max_length=MAX_OWNER)]
    description: str


class ChangedTodo(BaseModel):
    """What of a to-do can change; other members are ignored (A-04, A-18)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    description: Description


class NewTodo(ChangedTodo):
    """A new to-do. ``owner`` is for applications, which must name one; a person's is always their own (A-20)."""

    owner: Annotated[str, Field(min_length=1, max_length=MAX_OWNER)] | None = None
