"""The engine that embeds questions: any folder that holds the weights with which the index was made."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from bmretriever_integrations.checkpoints.fingerprint import fingerprint_on_disk
from bmretriever_integrations.index.manifest import IndexMismatch, Manifest
from bmretriever_integrations.index.places.place import Place

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder


class QuestionEngine:
    """Loads the engine when it is first needed, and keeps it."""

    def __init__(self, place: Place, manifest: Manifest, model: str | Path | None, device: str | None) -> None:
        """
        :param place: the index, for messages.
        :param manifest: its manifest.
        :param model: where the model is now; None takes the name in the manifest.
        :param device: None takes CUDA, then MPS, then the CPU.
        """
        self._place, self._made_by = place, manifest.encoder
        self._model, self._device = model, device
        self._encoder: BMRetrieverEncoder | None = None
        self._lock = Lock()

    def get(self) -> BMRetrieverEncoder:
        """Return the engine, which is loaded by the first call."""
        with self._lock:
            if self._encoder is None:
                self._encoder = self.load()
            return self._encoder

    def close(self) -> None:
        """Close the engine, if it was loaded."""
        with self._lock:
            if self._encoder is not None:
                self._encoder.close()
            self._encoder = None

    def load(self) -> BMRetrieverEncoder:
        """
        Load the engine that made the vectors. If its weights were quantised, they are not now: that only saved time.

        :raises FileNotFoundError: if its model is not where it was.
        :raises IndexMismatch: if the model has other weights.
        """
        from bmretriever_integrations.encoder import BMRetrieverEncoder

        made_by, model = self._made_by, self._model
        try:
            encoder = BMRetrieverEncoder(
                model or made_by["model"],
                revision=None if model else made_by["revision"],
                device=self._device,
                dtype=made_by["dtype"],
                max_length=made_by["max_length"],
                normalize=made_by["normalize"],
                truncate_dim=made_by["width"],
            )
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self._place} was made with the model {made_by['model']!r}, which cannot be loaded: {error}. If it is "
                "elsewhere now, name it: --model FOLDER, or model= in Python. Without a model, search in mode 'text'."
            ) from error
        except ValueError:  # as of a model that is narrower than the index: that it is another one says more
            self._check(fingerprint_on_disk(str(model)) if model else None)
            raise
        try:
            self._check(encoder.fingerprint)
        except IndexMismatch:
            encoder.close()
            raise
        return encoder

    def _check(self, fingerprint: str | None) -> None:
        """Refuse a model with other weights; None, which is not known, passes."""
        made_by = self._made_by
        if fingerprint not in (None, made_by["files_sha256"]):
            raise IndexMismatch(
                f"the files of {str(self._model or made_by['model'])!r} have SHA-256 {fingerprint:.16}..., and those of the "
                f"model with which {self._place} was made had {made_by['files_sha256'][:16]}...: its vectors would not fit. "
                "Name the right model (--model, or model= in Python), or make the index anew."
            )
