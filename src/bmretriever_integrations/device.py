"""Settings -> device and number type."""

from __future__ import annotations

import torch


def resolve_device(device: str | None) -> torch.device:
    """
    Choose the device.

    :param device: e.g. ``"cuda:1"`` or ``"cpu"``; None takes CUDA, then MPS, then the CPU.
    :raises ValueError: if the name is no device of PyTorch or the device is not there.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device {device!r} is none that PyTorch knows; use 'cpu', 'cuda', 'cuda:0' or 'mps'"
        ) from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices")
    if chosen.type == "cuda" and chosen.index is None:  # some of PyTorch's functions take no device without a number
        return torch.device("cuda", torch.cuda.current_device())
    return chosen


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """
    Choose the number type of weights and activations.

    :param dtype: ``"float32"``, ``"bfloat16"``, ``"float16"``, or ``"auto"``: bfloat16 where the device computes with it,
        float32 elsewhere.
    :param device: where the model runs.
    """
    if dtype != "auto":
        chosen: torch.dtype = getattr(torch, dtype)
        return chosen
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else False
    if device.type == "cpu":
        fast = cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def cpu_has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 itself (AVX512-BF16, AMX, Arm BF16); where not, PyTorch is slow at it."""
    if not hasattr(torch.cpu, "get_capabilities"):  # PyTorch before 2.10
        return bool(torch.cpu._is_avx512_bf16_supported())
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
