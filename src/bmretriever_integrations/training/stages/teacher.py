"""Texts of a stage -> vectors of the teacher, written once before the first step. The loss compares them instead of texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bmretriever_integrations.device import resolve_device
from bmretriever_integrations.files import whole_file, write_whole
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.stages.settings import StageSettings, TeacherSettings
from bmretriever_integrations.training.stages.sources import SourceFiles, drawn, text_key
from bmretriever_integrations.training.stages.state import file_hash, written_whole

BATCH = 256
"""Texts that the teacher embeds together on a GPU. A guess: enough to fill it with short texts."""
CPU_BATCH = 16
"""The same on a CPU, which is no faster with more: 256 texts of 450 tokens took 8 GB with a teacher of 137 million weights."""
TEXTS_AT_ONCE = 8 * BATCH
"""Texts that are sorted by length together, so that a batch needs little padding, and after which the bar moves."""
SIMILARITIES = ("cosine", "dot")
"""Similarities, in the words of sentence-transformers, that are dot products, of vectors of length 1 for the cosine."""


class TeacherVectors:
    """The teacher's vectors of all texts of a stage, read from the disk as they are needed."""

    def __init__(self, folder: Path) -> None:
        """
        :param folder: the folder of the run's states, after :func:`prepare_teacher`.
        """
        self._folder = folder
        self._keys = np.load(folder / "teacher_keys.npy")
        self._vectors = np.load(folder / "teacher_vectors.npy", mmap_mode="r")

    def __reduce__(self) -> tuple[Any, ...]:
        return TeacherVectors, (self._folder,)  # a process that makes batches opens the file instead of receiving it

    def of(self, keys: Sequence[int]) -> NDArray[np.float16]:
        """
        Look up the vectors of texts.

        :param keys: the key of each text's prompt, 0 where there is no text.
        :returns: the vectors, zeros where there is no text. *Shape:* (keys, width) float16
        :raises LookupError: if the teacher has not embedded a text.
        """
        wanted = np.asarray(keys, np.int64)
        places = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
        if np.any((self._keys[places] != wanted) & (wanted != 0)):
            raise LookupError("the teacher has no vector of a text: the files of the states do not belong together")
        return np.where(wanted[:, None] == 0, np.float16(0), self._vectors[places])


def prepare_teacher(
    folder: Path, rows: Path, sources: list[SourceFiles], settings: StageSettings, *, progress: bool
) -> TeacherVectors | None:
    """
    Embed all texts of a stage with the teacher, unless an earlier start of the same run has done so.

    :param folder: folder of the run's states.
    :param rows: the Arrow file of the rows, from :func:`~bmretriever_integrations.training.stages.data.prepare`.
    :param sources: the data of the stage.
    :param settings: settings of the stage.
    :param progress: whether to show a bar.
    :returns: the vectors; None without a teacher.
    :raises FileNotFoundError: if there is no such teacher.
    :raises ValueError: if it is no model of sentence-transformers, compares by a distance, or gives a vector that is not finite.
    """
    if settings.teacher is None:
        return None
    facts, keys_file, vectors_file = (
        folder / name for name in ("teacher.json", "teacher_keys.npy", "teacher_vectors.npy")
    )
    if not written_whole(facts):
        texts = _texts(_keys_of(rows), sources, settings, settings.teacher)
        keys = np.fromiter(sorted(texts), np.int64, len(texts))
        vectors = _embed([texts[key] for key in keys.tolist()], settings, settings.teacher, progress)
        for path, values in ((keys_file, keys), (vectors_file, vectors)):
            with whole_file(path) as draft, draft.open("wb") as file:
                np.save(file, values)
        hashes = {path.name: file_hash(path) for path in (keys_file, vectors_file)}
        write_whole(facts, json.dumps({"files": hashes}).encode())
    return TeacherVectors(folder)


def _keys_of(rows: Path) -> set[int]:
    """Read the keys of all prompts that are trained on."""
    with pa.OSFile(str(rows)) as file, pa.ipc.open_stream(file) as batches:
        table = batches.read_all()
    keys = {key for name in ("query_key", "positive_key") for key in table[name].to_pylist()}
    return keys | {text_key(text) for texts in table["negatives"].to_pylist() for text in texts}


def _texts(
    wanted: set[int], sources: list[SourceFiles], settings: StageSettings, teacher: TeacherSettings
) -> dict[int, str]:
    """Give what the teacher embeds, its own prompt and the text, by the key of the prompt of our model."""
    found: dict[int, str] = {}
    for _, pair in drawn(sources, settings.seed):
        for prompt, text in _prompts(pair, teacher):
            key = text_key(prompt)
            if key in wanted:
                found[key] = text
    return found


def _prompts(pair: Pair, teacher: TeacherSettings) -> Iterator[tuple[str, str]]:
    yield pair.query_prompt, teacher.query_prompt.replace("{instruction}", pair.instruction) + pair.query
    for text in (pair.positive, *pair.negatives):
        yield passage_prompt(text), teacher.passage_prompt + text


def _embed(texts: list[str], settings: StageSettings, teacher: TeacherSettings, progress: bool) -> NDArray[np.float16]:
    import torch
    from tqdm import tqdm

    model = _open(teacher)
    if settings.bf16:
        model.to(torch.bfloat16)
    size = CPU_BATCH if model.device.type == "cpu" else BATCH
    parts = []
    with tqdm(total=len(texts), desc="teacher", unit="text", disable=not progress) as bar:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            embedded = model.encode(  # an empty prompt, because the model's default one would come before ours
                part, prompt="", batch_size=size, show_progress_bar=False, convert_to_tensor=True
            ).float()
            if model.similarity_fn_name == "cosine":
                embedded = torch.nn.functional.normalize(embedded, dim=1)
            parts.append(embedded.to("cpu", torch.float16).numpy())
            if not np.isfinite(parts[-1]).all():
                raise ValueError(
                    f"the teacher {teacher.model} gives vectors that are not finite in float16: take another"
                )
            bar.update(len(part))
    del model, embedded
    torch.cuda.empty_cache()  # the memory is for the training, which begins now
    return np.concatenate(parts)


def _open(teacher: TeacherSettings) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import is_sentence_transformer_model

    folder = Path(teacher.model).expanduser()
    name = str(folder) if folder.is_dir() else teacher.model
    try:
        model = SentenceTransformer(name, device=str(resolve_device(None)))
        if not is_sentence_transformer_model(name):  # it has got a mean pooling that it was not trained with
            raise ValueError("it has no modules.json; a BMRetriever checkpoint gets one from bmretriever export")
    except OSError as error:
        raise FileNotFoundError(
            f"the teacher {teacher.model} is no folder of sentence-transformers and cannot be fetched from the hub: {error}"
        ) from error
    except (ValueError, LookupError) as error:
        raise ValueError(f"the teacher {teacher.model} is no model of sentence-transformers: {error}") from error
    if model.similarity_fn_name not in SIMILARITIES:
        raise ValueError(
            f"the teacher {teacher.model} compares by {model.similarity_fn_name}; it must compare by {' or '.join(SIMILARITIES)}"
        )
    return model
