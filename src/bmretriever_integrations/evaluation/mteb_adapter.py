"""Adapt an engine to ``mteb.evaluate``, with the authors' templates, EOS and maximal length, and with the dot product.

mteb's own wrapper of the four released models ranks by cosine, does not cut texts to 512 tokens, and loses the BOS of the 2B and
7B under transformers 5. This adapter gives mteb the vectors of :class:`~bmretriever_integrations.BMRetrieverEncoder`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

try:
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ScoringFunction
    from mteb.types import PromptType
except ImportError as error:
    raise ImportError(f'the mteb adapter needs mteb ({error}): pip install "bmretriever-integrations[mteb]"') from error

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.changed import changed_settings
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, TASK_INSTRUCTIONS

TASK_KEYS: Mapping[str, str] = {
    "NFCorpus": "nfcorpus",
    "SciFact": "scifact",
    "SCIDOCS": "scidocs",
    "TRECCOVID": "trec-covid",
    "BIOSSES": "biosses",
    "FEVER": "fever",
    "HotpotQA": "hotpotqa",
    "MSMARCO": "msmarco",
    "NQ": "nq",
    "QuoraRetrieval": "quora",
    "R2MEDBiologyRetrieval": "r2med-biology",
    "R2MEDBioinformaticsRetrieval": "r2med-bioinformatics",
    "R2MEDMedicalSciencesRetrieval": "r2med-medical-sciences",
    "R2MEDMedXpertQAExamRetrieval": "r2med-medxpertqa-exam",
    "R2MEDMedQADiagRetrieval": "r2med-medqa-diag",
    "R2MEDPMCTreatmentRetrieval": "r2med-pmc-treatment",
    "R2MEDPMCClinicalRetrieval": "r2med-pmc-clinical",
    "R2MEDIIYiClinicalRetrieval": "r2med-iiyi-clinical",
    "CUREv1": "cure-v1",
    "MedicalQARetrieval": "medical-qa",
    "PublicHealthQA": "public-health-qa",
    "TRECCOVID-PL": "trec-covid-pl",
    "SciFact-PL": "scifact-pl",
    "CmedqaRetrieval": "cmedqa",
}
"""Maps mteb's name of a task to this package's key of its instruction."""


class MtebEncoder(AbsEncoder):
    """
    An engine with mteb's interface.

    Documents get the passage template. Queries get an instruction, and so do sentences of tasks without queries and documents.
    For a task in :data:`TASK_KEYS` it is this package's instruction; for others, the one in mteb's metadata; else the engine's.

    mteb keeps results and returns them for a model of the same name, revision and experiment. The revision is the engine's commit
    or the fingerprint of its weights; the experiment names each setting that changes vectors and is not the default.
    """

    def __init__(self, encoder: BMRetrieverEncoder, name: str | None = None) -> None:
        """
        :param encoder: the engine; the caller closes it.
        :param name: the name, organisation/model, under which mteb stores the results. None takes the hub id of a released
            checkpoint, and ``bmretriever/`` followed by the model's name for others.
        """
        self._encoder = encoder
        self.mteb_model_meta = _meta(encoder, name)

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,  # noqa: ARG002  mteb passes it
        hf_subset: str,  # noqa: ARG002  mteb passes it
        prompt_type: PromptType | None = None,
        precision: str | None = None,
        batch_size: int | None = None,  # noqa: ARG002  the engine forms its batches by tokens
        show_progress_bar: bool | None = None,  # noqa: ARG002  the engine has its own bar
        num_proc: int | None = None,  # noqa: ARG002  mteb passes it
    ) -> Vectors:
        """
        Embed texts. mteb calls this method.

        An encode argument that is not named here raises TypeError: mteb would not run it, but would keep the result.

        :param inputs: batches; each has in ``text`` a list of queries, of sentences, or of documents with their titles.
        :param task_metadata: the metadata of mteb's task.
        :param hf_split: not used.
        :param hf_subset: not used.
        :param prompt_type: query, document, or None for sentences.
        :param precision: "float32" or None. Vectors of fewer bits need the documents' ranges, which this method does not have.
        :param batch_size: not used.
        :param show_progress_bar: not used.
        :param num_proc: not used.
        :returns: *Shape:* (n, width) float32.
        :raises ValueError: if another precision is asked for; the message names the two ways to score such vectors.
        """
        if precision not in (None, "float32"):
            raise ValueError(
                f"encode_kwargs has the precision {precision!r}; this adapter returns float32 vectors only. Wrap it, "
                "mteb.models.CompressionWrapper(MtebEncoder(encoder)), or run bmretriever evaluate --precision int8"
            )
        texts = [text for batch in inputs for text in batch["text"]]
        if not texts:
            return np.empty((0, self._encoder.width), np.float32)
        if prompt_type == PromptType.document:
            return self._encoder.encode_passages(texts)
        return self._encoder.encode_queries(texts, self.instruction(task_metadata))

    def instruction(self, task_metadata: Any) -> str:
        """
        Choose the instruction for a task's queries.

        :param task_metadata: the metadata of mteb's task.
        """
        key = TASK_KEYS.get(task_metadata.name)
        if key is not None:
            return TASK_INSTRUCTIONS[key]
        prompt = task_metadata.prompt
        if isinstance(prompt, Mapping):
            prompt = prompt.get(PromptType.query.value)
        return str(prompt) if prompt else self._encoder.instruction


def _meta(encoder: BMRetrieverEncoder, name: str | None) -> ModelMeta:
    checkpoint = find_checkpoint(encoder.settings.model)
    if checkpoint is not None and checkpoint.hub_id is not None and encoder.revision is None:
        checkpoint = None  # a folder that has a checkpoint's short name
    own = {"truncate_dim": encoder.settings.truncate_dim, "instruction": _own_instruction(encoder)}
    if name is None:
        hub_id = checkpoint.hub_id if checkpoint is not None else None
        name = hub_id or f"bmretriever/{encoder.settings.model.strip('/').rsplit('/', 1)[-1]}"
    return ModelMeta.create_empty(
        {
            "name": name,
            # without a commit, the weights' fingerprint, so that mteb's cache does not mix two trainings with one name
            "revision": encoder.revision or encoder.fingerprint,
            # mteb keeps the results of different experiments apart
            "experiment_kwargs": changed_settings({**encoder.identity(), **own}) or None,
            "languages": ["eng-Latn"],
            "embed_dim": encoder.width,
            "max_tokens": encoder.settings.max_length,
            "n_parameters": checkpoint.parameters if checkpoint is not None else None,
            "similarity_fn_name": ScoringFunction.DOT_PRODUCT,
            "use_instructions": True,
            "framework": ["PyTorch", "Transformers"],
            "model_type": ["dense"],
            # mteb's own records of the released models name these data sets; those of other models are not known
            "training_datasets": {"FEVER", "MSMARCO", "NQ"} if checkpoint is not None and checkpoint.hub_id else None,
        }
    )


def _own_instruction(encoder: BMRetrieverEncoder) -> str | None:
    return None if encoder.instruction == DEFAULT_INSTRUCTION else encoder.instruction
