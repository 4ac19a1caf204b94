"""Make prompts from texts, with the templates that BMRetriever was trained with, byte for byte.

Both templates come from the authors' ``eval.py`` at commit 7823209 of ``ritaranx/BMRetriever`` and from their README since
24 June 2024. Earlier model cards put ``Instruct: `` before the instruction; that form is obsolete.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = [
    "BENCHMARK_INSTRUCTIONS",
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
        # the paper's Appendix B, Table 10, as REPAIR's eval_mesh.py quotes it; the full stop is part of the quotation
        "mesh": "Given a concept, retrieve passages for its definition.",
    }
)
"""Maps each task key to the instruction that the authors published for it."""

PROJECT_INSTRUCTIONS: Mapping[str, str] = MappingProxyType(
    {
        # this project wrote these, after the authors' pattern, for tasks whose instruction they did not publish
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
        # these are for the paper's own data sets; other publications describe their wording
        "biosses": "Given a sentence, retrieve sentences with the same meaning",
        "icliniq": "Given a patient's question, retrieve responses that best answer the question",
        "pubmedqa": "Given a biomedical question, retrieve relevant scientific passages that answer the question",
        "bioasq": "Given a biomedical question, retrieve relevant scientific passages that answer the question",
        "drugbank": "Given a concept, retrieve passages for its definition.",
        "relish": "Given a scientific paper, retrieve papers on the same topic",
        # these are for mteb's medical tasks, for which mteb has no instruction
        "medical-qa": "Given a medical question, retrieve passages that answer the question",
        "public-health-qa": "Given a question about public health, retrieve passages that answer the question",
        "trec-covid-pl": "Given a query on COVID-19, retrieve documents that answer the query",
        "scifact-pl": "Given a scientific claim, retrieve documents that support or refute the claim",
    }
)
"""Maps each task key to the instruction that this project wrote for it."""

_ANSWERS_POST = "Given a {} post, retrieve relevant passages that help answer the post"
_ANSWERS_EXAM = "Given a Medical Exam, retrieve relevant passages that help answer the exam"
_SIMILAR_CASES = "Given a Clinical Case, retrieve similar cases that help diagnose the case"

BENCHMARK_INSTRUCTIONS: Mapping[str, str] = MappingProxyType(
    {
        # R2MED's authors measured BMRetriever with these: src/instrcution.py, bmr_q, of github.com/R2MED/R2MED
        "r2med-biology": _ANSWERS_POST.format("Biology"),
        "r2med-bioinformatics": _ANSWERS_POST.format("Bioinformatics"),
        "r2med-medical-sciences": _ANSWERS_POST.format("Medical Science"),
        "r2med-medxpertqa-exam": _ANSWERS_EXAM,
        "r2med-medqa-diag": _ANSWERS_EXAM,
        "r2med-pmc-treatment": "Given a Clinical Case, retrieve relevant passages that help answer the case",
        "r2med-pmc-clinical": _SIMILAR_CASES,
        "r2med-iiyi-clinical": _SIMILAR_CASES,
        # metadata of mteb's tasks CUREv1 and CmedqaRetrieval
        "cure-v1": (
            "Given a question by a medical professional, retrieve relevant passages that best answer the question"
        ),
        "cmedqa": "Given a Chinese community medical question, retrieve replies that best answer the question",
    }
)
"""Maps each task key to the instruction that the benchmark of the task prescribes."""

TASK_INSTRUCTIONS: Mapping[str, str] = MappingProxyType(
    {**PAPER_INSTRUCTIONS, **BENCHMARK_INSTRUCTIONS, **PROJECT_INSTRUCTIONS}
)
"""Maps every task key that an ``instruction`` argument accepts to its instruction."""

DEFAULT_INSTRUCTION = PAPER_INSTRUCTIONS["nfcorpus"]
"""The instruction for queries where the caller gives none: the authors' instruction for biomedical questions (NFCorpus)."""


def resolve_instruction(instruction: str | None) -> str:
    """
    Find the instruction that goes into the prompt.

    :param instruction: a key of :data:`TASK_INSTRUCTIONS`, any sentence, or None for :data:`DEFAULT_INSTRUCTION`.
    :returns: the instruction, a sentence.
    :raises TypeError: if ``instruction`` is neither a string nor None.
    :raises ValueError: if it is empty, if it is one word and not a key (a mistyped key must not become part of a prompt), or if
        it contains a lone surrogate.
    """
    if instruction is None:
        return DEFAULT_INSTRUCTION
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be a str or None, got {type(instruction).__name__}")
    instruction = str.__str__(instruction)  # of a str Enum's member, its value
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
    if (half := lone_surrogate(instruction)) is not None:
        raise ValueError(
            f"instruction holds a lone surrogate (U+{ord(instruction[half]):04X} at character {half}), which is no character"
        )
    return instruction


def query_prompt(instruction: str, text: str) -> str:
    """
    Make the prompt of one query.

    :param instruction: the sentence that describes the task. A key is not accepted here; :func:`resolve_instruction` finds its
        sentence.
    :param text: the query, which is used unchanged.
    :returns: ``{instruction}\\nQuery: {text}``.
    :raises ValueError: if the instruction is empty.
    """
    if not instruction.strip():
        raise ValueError("instruction is empty: BMRetriever queries need one, e.g. " + repr(DEFAULT_INSTRUCTION))
    return instruction + "\nQuery: " + text  # the format() of a str Enum's member is not its value, its sum is


def passage_prompt(text: str, title: str | None = None) -> str:
    """
    Make the prompt of one passage.

    :param text: the passage.
    :param title: its title, or None. Title and text are joined by one space.
    :returns: ``Represent this passage\\npassage: {title} {text}``. White space around the joined text is removed.
    """
    joined = title + " " + text if title else text
    return PASSAGE_PREFIX + joined.strip()


def is_missing(value: object) -> bool:
    """
    Tell whether a value stands for "there is none": None, NaN, ``pandas.NA``, ``NaT``.

    Tables and JSON written by pandas hold such values where a record has no title. Made into text they would be embedded as
    "nan".

    :param value: any value; a text is never missing, an empty one neither.
    """
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124  NaN and NaT differ from themselves
    except (
        TypeError,
        ArithmeticError,
    ):  # pandas.NA is neither equal nor different; a signalling NaN cannot be compared
        return True
    except ValueError:  # an array is compared element by element
        return False


def embedded_fields(values: Mapping[str, Any], names: Iterable[str]) -> list[tuple[str, str]]:
    """
    Return the fields of a document's metadata that are put before its text when it is embedded.

    :param values: the metadata.
    :param names: the names of the fields.
    :returns: name and text of each field that is there, in the order of the names. Missing values are left out.
    """
    present = [(name, values.get(name)) for name in names]
    # a str stays itself: str() of an Enum would give its name
    return [(name, value if isinstance(value, str) else str(value)) for name, value in present if not is_missing(value)]


def checked_text(text: Any, name: str) -> str:
    """
    Check that this is a text which a tokenizer accepts.

    :param text: what a caller passed.
    :param name: its name, for the message.
    :returns: the text as a plain string.
    :raises TypeError: if it is no string.
    :raises ValueError: if it contains a lone surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str, got {type(text).__name__}")
    if (half := lone_surrogate(text)) is not None:
        raise ValueError(
            f"{name} holds a lone surrogate (U+{ord(text[half]):04X} at character {half}), which is no character. Repair it with "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
        )
    return str.__str__(text)  # a member of a str Enum is a string whose format() is not its value


def lone_surrogate(text: str) -> int | None:
    r"""
    Find a lone surrogate: half of a character, which JSON can contain (``\ud83d``) and no tokenizer accepts.

    :param text: any string.
    :returns: the position of the first lone surrogate, or None if there is none.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None
