"""The two kinds of models: messages ignore unknown fields, what a user writes refuses them."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A message or a part of one: immutable; fields added by a later version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Strict(BaseModel):
    """Something a user writes: immutable; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
