"""Which writers are asked, and in which order: what `auto` stands for.

A chain is a tuple of names, each `writer` or `writer:model`. Knows names only; opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

AUTO = "auto"
_CLOUDS = ("openai", "anthropic", "mistral")
_LOCALS = ("llama_cpp", "server")


def split_name(name: str) -> tuple[str, str]:
    """The writer and the model in a name of a chain; an empty model is the one of the settings."""
    writer, _, model = name.strip().partition(":")
    return writer, model


def expand_chain(
    names: Sequence[str], models: Mapping[str, Sequence[str]], *, cheap_first: bool = False
) -> tuple[str, ...]:
    """The chain with `auto` spelled out; each name once.

    `models` are those of each writer that has a key or a model, the strongest first. `auto` asks the clouds in a fixed
    order, the strong model of each before its cheap one, then the local ones; with `cheap_first` the cheap ones of all,
    then the local ones, and the strong ones last.
    """
    expanded: list[str] = []
    for name in names:
        expanded += _spell_out(models, cheap_first) if name == AUTO else [name]
    return tuple(dict.fromkeys(expanded))


def _spell_out(models: Mapping[str, Sequence[str]], cheap_first: bool) -> list[str]:
    local = [name for name in _LOCALS if name in models]
    clouds = [name for name in _CLOUDS if name in models]
    if not cheap_first:
        return [_name(cloud, model, models) for cloud in clouds for model in models[cloud]] + local
    cheap = [_name(cloud, models[cloud][-1], models) for cloud in clouds]
    strong = [_name(cloud, model, models) for cloud in clouds for model in models[cloud][:-1]]
    return [*cheap, *local, *strong]


def _name(writer: str, model: str, models: Mapping[str, Sequence[str]]) -> str:
    """The first model of a writer is what its name alone stands for."""
    return writer if model == models[writer][0] else f"{writer}:{model}"
