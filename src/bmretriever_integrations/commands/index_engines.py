"""What embeds for ``bmretriever index``: which engines the arguments ask for, and what the index in the folder was made with."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.checkpoints.fingerprint import fingerprint_on_disk
from bmretriever_integrations.commands.arguments import absolute
from bmretriever_integrations.commands.screen import silence_libraries
from bmretriever_integrations.index.ingest.engines import EnginesOnDemand
from bmretriever_integrations.index.manifest import Manifest, read_manifest
from bmretriever_integrations.index.places.where import place_of
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings, asked_quantization

if TYPE_CHECKING:
    from bmretriever_integrations.index.ingest.engines import PassageEngines


def engines_for(arguments: argparse.Namespace, closing: ExitStack) -> EnginesOnDemand:
    """
    Prepare engines, which are loaded when something must be embedded. What is not asked for is as the index has it.

    :param arguments: of ``bmretriever index``.
    :param closing: closes the engines.
    :raises ValueError: for options that would otherwise be ignored.
    :raises DamagedIndex: if the folder's manifest is damaged, or of an earlier form.
    :raises FileNotFoundError: if the model of the index is no longer where it was.
    """
    _check(arguments)
    folder = place_of(arguments.to)
    manifest = read_manifest(folder)
    settings = _settings(arguments, manifest)
    identity = None if manifest is None else _identity(settings, manifest)
    return EnginesOnDemand(lambda: _load(arguments, settings, closing), folder, manifest, identity)


def _check(arguments: argparse.Namespace) -> None:
    on_ray = arguments.engine == "ray"
    if arguments.devices is not None and (on_ray or arguments.device is not None):
        other = "--engine ray" if on_ray else "--device"
        raise ValueError(
            f"--devices and {other} exclude each other; on a cluster, --workers says how many engines there are"
        )
    for name, value in (("--workers", arguments.workers), ("--ray-address", arguments.ray_address)):
        if value is not None and not on_ray:
            raise ValueError(f"{name} is for a cluster: add --engine ray")


def _settings(arguments: argparse.Namespace, manifest: Manifest | None) -> EncoderSettings:
    if manifest is None:
        return EncoderSettings(
            model=absolute(arguments.model or DEFAULT_MODEL),
            max_length=arguments.max_length or MAX_LENGTH,
            dtype=arguments.dtype,
            quantization=arguments.quantization,
            device=arguments.device,
        )
    made = manifest.encoder
    if arguments.model is None and Path(made["model"]).is_absolute() and not Path(made["model"]).exists():
        raise FileNotFoundError(
            f"{arguments.to} was made with the model in {made['model']}, which is no longer there: give its new folder with "
            "--model"
        )
    return EncoderSettings(
        model=made["model"] if arguments.model is None else absolute(arguments.model),
        revision=made["revision"] if arguments.model is None else None,
        max_length=arguments.max_length or made["max_length"],
        dtype=made["dtype"] if arguments.dtype == "auto" else arguments.dtype,
        quantization=arguments.quantization or asked_quantization(made.get("quantization")),
        normalize=made["normalize"],
        truncate_dim=made["width"],
        device=arguments.device,
    )


def _identity(settings: EncoderSettings, manifest: Manifest) -> dict[str, Any] | None:
    """What the engines will say of themselves, if the model is on this machine."""
    fingerprint = fingerprint_on_disk(settings.model, settings.revision)
    if fingerprint is None:
        return None
    asked = {name: getattr(settings, name) for name in ("model", "revision", "max_length", "dtype", "quantization")}
    if settings.model == manifest.encoder["model"]:
        asked["revision"] = manifest.encoder["revision"]
    # whether weights have 8 bits or 7 is known when the engines are loaded
    if settings.quantization in (None, asked_quantization(manifest.encoder.get("quantization"))):
        del asked["quantization"]
    return {**manifest.encoder, **asked, "files_sha256": fingerprint}


def _load(arguments: argparse.Namespace, settings: EncoderSettings, closing: ExitStack) -> PassageEngines:
    silence_libraries()
    if arguments.engine == "ray":
        from bmretriever_integrations.parallel.ray_workers import RayEngines

        return closing.enter_context(RayEngines(settings, workers=arguments.workers, address=arguments.ray_address))
    if arguments.devices is not None:
        from bmretriever_integrations.parallel import EncoderPool

        pool = EncoderPool(
            settings.model,
            devices=[device.strip() for device in arguments.devices.split(",")],
            revision=settings.revision,
            max_length=settings.max_length,
            dtype=settings.dtype,
            quantization=settings.quantization,
            normalize=settings.normalize,
            truncate_dim=settings.truncate_dim,
        )
        return closing.enter_context(pool)
    from bmretriever_integrations.device import keep_freed_memory
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.index.ingest.engines import OneEngine

    keep_freed_memory()  # allowed here, because a command owns its process
    return OneEngine(closing.enter_context(BMRetrieverEncoder.from_settings(settings)))
