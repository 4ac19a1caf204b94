"""Without a GPU Triton's kernels are run by its interpreter, which is chosen before they are read."""

from __future__ import annotations

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
