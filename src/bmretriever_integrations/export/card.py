"""Write the model card of an exported folder, and the record by which a later export recognises the folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints import Checkpoint
from bmretriever_integrations.export.folder import write_json
from bmretriever_integrations.prompts import PASSAGE_PREFIX
from bmretriever_integrations.versions import MADE_BY, NAME

RECORD = "bmretriever_export.json"
"""Name of the file that marks a folder as an export, so that no other folder is ever replaced."""
HEAD = ["library_name", "pipeline_tag", "tags", "license", "base_model"]
"""Order of the keys in the model card's YAML."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The source of an export and its settings. It contains no path of a machine."""

    source: str
    """Hub id, "mini", or the name of a folder."""
    revision: str | None
    """Commit on the hub; None if the source is not on the hub."""
    dtype: str
    """Number type of the written weights."""
    max_length: int
    """Tokens of a sequence, BOS and EOS included."""
    normalize: bool
    """Whether the vectors are scaled to length 1."""
    error: float
    """Largest error against the source's vectors: the relative error in float32, else 1 minus the cosine."""


def write_record(folder: Path, origin: Origin) -> None:
    """
    Write the record of an export.

    :param folder: the exported folder.
    :param origin: the source and the settings of the export.
    """
    write_json(folder / RECORD, {"written_by": MADE_BY, **asdict(origin)})


def is_export(folder: Path) -> bool:
    """
    Tell whether a folder was written by an export.

    :param folder: any folder.
    """
    try:
        record: Any = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and str(record.get("written_by", "")).startswith(f"{NAME} ")


def write_card(folder: Path, origin: Origin, known: Checkpoint | None, width: int, instruction: str) -> None:
    """
    Write README.md, the model card.

    :param folder: the exported folder.
    :param origin: the source and the settings of the export.
    :param known: the record of the checkpoint, or None if it has no short name.
    :param width: the width of its vectors.
    :param instruction: the default instruction of its queries.
    """
    text = _head(origin, known) + _BODY.format(
        source=origin.source,
        from_where=f", revision `{origin.revision}`" if origin.revision else "",
        licence=_licence(known),
        dtype=origin.dtype,
        width=width,
        max_length=origin.max_length,
        similarity="dot product, which is the cosine here"
        if origin.normalize
        else "dot product; they are not normalised",
        made_by=MADE_BY,
        passage=PASSAGE_PREFIX.replace("\n", "\\n"),
        instruction=instruction,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _head(origin: Origin, known: Checkpoint | None) -> str:
    """Write the part in YAML, which the hub reads."""
    from huggingface_hub import ModelCardData

    base = origin.source if origin.revision is not None else None
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "feature-extraction", "bmretriever", "biomedical"],
        license=None if known is None else known.licence.lower(),
        base_model=base if known is None else known.hub_id or base,
    )
    return f"---\n{data.to_yaml(original_order=HEAD)}\n---\n"


def _licence(known: Checkpoint | None) -> str:
    if known is None:
        return "not known to the tool that wrote this folder; the source's licence applies"
    return f"{known.licence}; it was trained from {known.backbone}, whose own terms may apply as well"


_BODY = """
# {source}, for sentence-transformers

This folder holds the weights of `{source}`{from_where}, in {dtype}. sentence-transformers, and tools that read its format,
compute the right vectors from it: with last-token pooling, with the end-of-sequence token after every text, even a cut one, and
without remote code.

- **Vectors**: {width} wide, compared by {similarity}.
- **Length**: {max_length} tokens; longer texts are cut.
- **Licence**: {licence}.
- **Written by**: {made_by}, `bmretriever export`.

## Templates

`\\n` is a line break.

- **Query**: `{{instruction}}\\nQuery: {{text}}`
- **Passage**: `{passage}{{title}} {{text}}`, title and text joined by one space, without outer white space.

They are in `config_sentence_transformers.json` by name: `document` for passages, `query` for queries (its instruction is
"{instruction}"), and one for the queries of each task.

## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["does metformin lower the risk of colorectal cancer"])
passages = model.encode_document(["Metformin was associated with a lower incidence of colorectal cancer."])
print(model.similarity(queries, passages))

claims = model.encode(["Metformin lowers the risk of cancer."], prompt_name="scifact")
```
"""
