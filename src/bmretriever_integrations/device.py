"""Choose the device, the number type, and from the device's free memory the number of tokens of a batch."""

from __future__ import annotations

import os
from typing import Any

import torch

CPU_TOKENS = 2048
"""
The most tokens of a batch on a CPU. Of 512, 1,024, 2,048 and 4,096 it was the fastest or within 3 % of it, for passages of 410M's
layers in float32 and bfloat16 on two cores of an AMD EPYC and of an Intel Xeon with AMX. Smaller batches take less memory.
"""
GPU_TOKENS = 131_072
"""The most tokens of a batch on an accelerator: 256 rows of 512 tokens use any accelerator fully."""
INNER_WIDTHS = ("intermediate_size", "n_inner", "ffn_dim")
"""Names of the MLP's width in the configurations of different architectures; without one of them it is four times the width."""
MEMORY_SHARE = 0.4
"""Share of the free memory that a batch may take; the rest is left to other programs on the device."""


def resolve_device(device: str | None) -> torch.device:
    """
    Choose the device.

    :param device: e.g. ``"cuda:1"`` or ``"cpu"``; None takes CUDA, then MPS, then the CPU.
    :raises ValueError: if PyTorch does not know the name or the device is missing.
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
    if chosen.type != "cuda" and not _is_there(chosen):
        raise ValueError(f"device {device!r} is not on this machine, or this build of PyTorch has no support for it")
    if chosen.type == "cuda" and chosen.index is None:  # some of PyTorch's functions require a device with a number
        return torch.device("cuda", torch.cuda.current_device())
    return chosen


def _is_there(device: torch.device) -> bool:
    """Tell whether a tensor can be made on a device, e.g. on "mps" or "xpu:1"."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError):
        return False
    return device.type != "meta"


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """
    Choose the number type of weights and activations.

    :param dtype: ``"float32"``, ``"bfloat16"``, ``"float16"``, or ``"auto"``, which chooses bfloat16 where the hardware
        computes with it and float32 elsewhere.
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
    """Tell whether the CPU has bfloat16 instructions (AVX512-BF16, AMX, Arm BF16); without them PyTorch is slow in bfloat16."""
    if not hasattr(torch.cpu, "get_capabilities"):  # PyTorch before 2.10
        return bool(torch.cpu._is_avx512_bf16_supported())
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))


def cpu_has_vnni() -> bool:
    """Tell whether the CPU adds products of int8 in 32 bits (AVX-512 VNNI)."""
    return bool(torch.cpu._is_vnni_supported())


def cpu_has_amx() -> bool:
    """Tell whether the CPU multiplies tiles (Intel's AMX)."""
    return bool(torch.cpu._is_amx_tile_supported())


def choose_batch_tokens(network: Any, device: torch.device) -> int:
    """
    Choose how many padded tokens a batch may hold.

    :param network: the network, already on the device; its configuration tells how much memory a token takes.
    :param device: the device on which it runs.
    :returns: the number of tokens, at least 512.
    """
    config = network.config
    itemsize = next(network.parameters()).element_size()
    # one layer holds at once: the residual, its norm, queries, keys, values and output; gate, up and product of the MLP
    inner = next((size for name in INNER_WIDTHS if (size := getattr(config, name, None))), 4 * config.hidden_size)
    per_token = itemsize * (8 * config.hidden_size + 3 * inner)
    most = CPU_TOKENS if device.type == "cpu" else GPU_TOKENS
    affordable: int = int(MEMORY_SHARE * _free_bytes(device)) // per_token
    return max(512, min(most, affordable))


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return int(free)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # macOS and Windows do not have these values
        return 4 * 2**30


def is_out_of_memory(error: BaseException) -> bool:
    """
    Tell whether an error means that the device's memory is too small, on any device.

    :param error: the error that a forward pass raised.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # PyTorch's CPU allocator raises a bare RuntimeError: "DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def release_cached(device: torch.device) -> None:
    """
    Return the memory that PyTorch keeps for reuse to the device.

    :param device: the device on which the engine ran.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def keep_freed_memory() -> bool:
    """
    Let the C library keep the memory that PyTorch frees on the CPU, for the whole process.

    glibc returns every freed block above 32 MB to the kernel. The next allocation gets new pages, which the kernel must fill with
    zeros. The activations of a large batch are such blocks, and every layer frees them. Only a program that owns its process may
    call this; a library must not change the allocator for others.

    :returns: whether the settings were changed. That is possible with glibc only.
    """
    import ctypes

    trim_threshold, top_pad, mmap_threshold = (
        -1,
        -2,
        -3,
    )  # malloc.h of glibc: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    most = 2**31 - 1
    accepted = [
        mallopt(option, size) for option, size in ((mmap_threshold, most), (trim_threshold, most), (top_pad, 2**26))
    ]
    return all(accepted)
