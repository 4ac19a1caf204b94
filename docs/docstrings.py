"""A griffe extension for the API reference: what mkdocstrings does not read from our docstrings by itself."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")
CODE_BLOCK = re.compile(r"^ *\.\. code-block:: \w+\n", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Sphinx's roles become plain code; the fields of a pydantic model become the arguments of its constructor."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """
        Turn roles and code blocks of Sphinx into Markdown.

        :param obj: a module, class, function or attribute.
        """
        if obj.docstring is not None:
            obj.docstring.value = CODE_BLOCK.sub(
                "", ROLE.sub(r"`\1`", obj.docstring.value)
            )

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """
        Give a pydantic model the constructor that pydantic makes for it.

        :param cls: any class.
        """
        fields = {
            name: _arguments(member)
            for name, member in cls.attributes.items()
            if _is_field(member)
        }
        if not fields:
            return
        parameters = [
            griffe.Parameter(
                name,
                annotation=cls.attributes[name].annotation,
                kind=griffe.ParameterKind.keyword_only,
                default=given.get("default"),
            )
            for name, given in fields.items()
        ]
        constructor = griffe.Function(
            "__init__", parameters=griffe.Parameters(*parameters), parent=cls
        )
        lines = [
            f":param {name}: {_text(given.get('description'))}"
            for name, given in fields.items()
        ]
        constructor.docstring = griffe.Docstring(
            "\n".join(lines), parent=constructor, parser="sphinx"
        )
        cls.set_member("__init__", constructor)


def _is_field(member: griffe.Attribute) -> bool:
    return (
        isinstance(member.value, griffe.ExprCall)
        and str(member.value.function) == "Field"
    )


def _arguments(member: griffe.Attribute) -> dict[str, Any]:
    call = member.value
    assert isinstance(call, griffe.ExprCall)
    return {
        given.name: given.value
        for given in call.arguments
        if isinstance(given, griffe.ExprKeyword)
    }


def _text(expression: Any) -> str:
    """A string of the source, without its quotation marks."""
    return str(expression or "")[1:-1].replace('\\"', '"')
