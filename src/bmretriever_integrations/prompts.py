"""Text -> prompt: the templates that BMRetriever was trained with, byte for byte.

Source of both templates: the authors' ``eval.py`` at commit 7823209 of ``ritaranx/BMRetriever`` and their README since
24 June 2024. Earlier cards put ``Instruct: `` before the instruction; that form is obsolete.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "DEFAULT_INSTRUCTION",
    "PAPER_INSTRUCTIONS",
    "PASSAGE_PREFIX",
    "PROJECT_INSTRUCTIONS",
    "TASK_INSTRUCTIONS",
    "passage_prompt",
    "query_prompt",
    "resolve_instruction",
]

PASSAGE_PREFIX = "Represent this passage\npassage: "

PAPER_INSTRUCTIONS: Mapping[str, str] = MappingProxyType(
    {
        # prompt.py, task_name_to_instruct, of ritaranx/BMRetriever
        "gooaq": "Given a question, retrieve relevant passages that answer the question",
        "eli5": "Provided a user question, retrieve the highest voted answers on Reddit ELI5 forum",
        "squad": "Given a question, retrieve Wikipedia passages that answer the question",
        "nli": "Given a premise, retrieve a hypothesis that is entailed by the premise",
        "msmarco": "Given a web search query, retrieve relevant passages that answer the query",
        "nq": "Given a question, retrieve Wikipedia passages that answer the question",
        "quora": "Given a question, retrieve questions that are semantically equivalent to the given question",
        "fever": "Given a claim, retrieve documents that support or refute the claim",
        "hotpotqa": "Given a multi-hop question, retrieve documents that can help answer the question",
        "msmarco_doc": "Given a web search query, retrieve relevant documents that answer the query",
        "nfcorpus": "Given a question, retrieve relevant documents that best answer the question",
        "scidocs": "Given a scientific paper title, retrieve paper abstracts that are cited by the given paper",
        "scifact": "Given a scientific claim, retrieve documents that support or refute the claim",
        "trec-covid": "Given a query on COVID-19, retrieve documents that answer the query",
        # the paper's Appendix B, Table 10, as quoted by REPAIR's eval_mesh.py; the full stop is theirs
        "mesh": "Given a concept, retrieve passages for its definition.",
    }
)
"""Task key -> instruction, as the authors published them."""

PROJECT_INSTRUCTIONS: Mapping[str, str] = MappingProxyType(
    {
        # worded here, after the authors' pattern, for tasks whose instruction they did not publish
        "title": "Given a title, retrieve the passage that it heads",
        "medquad": "Given a medical question, retrieve passages that answer the question",
        "nih-liveqa": "Given a medical question, retrieve passages that answer the question",
        "bioasq-snippets": "Given a biomedical question, retrieve relevant scientific passages that answer the question",
        "pubmedqa-answer": "Given a biomedical question, retrieve relevant scientific passages that answer the question",
        "covidqa": "Given a query on COVID-19, retrieve documents that answer the query",
        "entity-synonym": ("Given a biomedical term, retrieve the concept that it names together with its definition"),
        "do-cc0": "Given a biomedical term, retrieve the concept that it names together with its definition",
        "entity-definition": "Given a concept, retrieve passages for its definition.",
        "synergy-recommend": "Given a scientific paper, retrieve papers on the same topic",
        "elife-insight": "Given a commentary, retrieve the abstract of the scientific paper it discusses",
        # for the paper's own data sets, after what other work tells of its wording
        "biosses": "Given a sentence, retrieve sentences with the same meaning",
        "icliniq": "Given a patient's question, retrieve responses that best answer the question",
        "pubmedqa": "Given a biomedical question, retrieve relevant scientific passages that answer the question",
        "bioasq": "Given a biomedical question, retrieve relevant scientific passages that answer the question",
        "drugbank": "Given a concept, retrieve passages for its definition.",
        "relish": "Given a scientific paper, retrieve papers on the same topic",
    }
)
"""Task key -> instruction worded by this project."""

TASK_INSTRUCTIONS: Mapping[str, str] = MappingProxyType({**PAPER_INSTRUCTIONS, **PROJECT_INSTRUCTIONS})
"""Every task key that an ``instruction`` argument understands."""

DEFAULT_INSTRUCTION = PAPER_INSTRUCTIONS["nfcorpus"]
"""The instruction where none is given: the authors' one for biomedical questions (NFCorpus)."""


def resolve_instruction(instruction: str | None) -> str:
    """
    Turn a task key or a sentence into the instruction that goes into the prompt.

    :param instruction: a key of :data:`TASK_INSTRUCTIONS`, any sentence, or None for :data:`DEFAULT_INSTRUCTION`.
    :returns: the sentence.
    :raises TypeError: if it is not a string.
    :raises ValueError: if it is empty, or one word that is no key (a mistyped key would silently become a prompt).
    """
    if instruction is None:
        return DEFAULT_INSTRUCTION
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be a str or None, got {type(instruction).__name__}")
    if instruction in TASK_INSTRUCTIONS:
        return TASK_INSTRUCTIONS[instruction]
    if not instruction.strip():
        raise ValueError(
            "instruction is empty: BMRetriever queries need one. Pass a task key "
            f"({', '.join(sorted(TASK_INSTRUCTIONS))}), a sentence, or None for the default."
        )
    if len(instruction.split()) == 1:
        near = difflib.get_close_matches(instruction, TASK_INSTRUCTIONS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"instruction {instruction!r} is neither a task key nor a sentence.{hint} "
            f"Keys: {', '.join(sorted(TASK_INSTRUCTIONS))}."
        )
    return instruction


def query_prompt(instruction: str, text: str) -> str:
    """
    Make the prompt of one query.

    :param instruction: the sentence that describes the task; not a key, see :func:`resolve_instruction`.
    :param text: the query, used as it is.
    :returns: ``{instruction}\\nQuery: {text}``.
    :raises ValueError: if the instruction is empty.
    """
    if not instruction.strip():
        raise ValueError("instruction is empty: BMRetriever queries need one, e.g. " + repr(DEFAULT_INSTRUCTION))
    return f"{instruction}\nQuery: {text}"


def passage_prompt(text: str, title: str | None = None) -> str:
    """
    Make the prompt of one passage.

    :param text: the passage.
    :param title: its title, if it has one; joined to the text by one space.
    :returns: ``Represent this passage\\npassage: {title} {text}``, the joined text stripped of outer white space.
    """
    joined = f"{title} {text}" if title else text
    return PASSAGE_PREFIX + joined.strip()


def lone_surrogate(text: str) -> int | None:
    r"""
    Find half of a character, which JSON can write (``\ud83d``) and no tokenizer can take.

    :param text: any string.
    :returns: the position of the first, or None if there is none.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None
