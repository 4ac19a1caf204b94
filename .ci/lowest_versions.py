"""
Write the lists in this folder: the oldest versions that pyproject.toml allows, and what fits to them.

    make lowest-versions

uv chooses them, from wheels alone: the lowest of each package that pyproject.toml names, the newest of the others. PyTorch is
left out: its version is the one of constraints.txt, as only of that release a wheel without CUDA is at hand.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "psutil", "sentencepiece", "protobuf", "triton")
"""What runs the tests, at the versions of constraints.txt."""
STORES = ("qdrant-client>=1.14",)
"""Other packages that tests import."""
CUDA = ("cuda-", "nvidia-")
"""Packages that only PyTorch's wheel for CUDA needs, which the registry's metadata describe."""
LISTS = {
    "lowest.txt": (("demo", "chroma", "evaluation", "langchain"), ("peft>=0.18", "sentence-transformers==5.6.0")),
    "lowest-serve.txt": (("serve",), ()),
    "lowest-train.txt": (("faiss", "train"), ()),
}
"""
File -> extras, and packages beside them.

sentence-transformers 6.2, which training needs, needs transformers 5. The oldest chromadb and mcp fit to no FastAPI together.
"""


def main() -> int:
    """Have uv resolve the lists."""
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", constraints, re.MULTILINE))
    tools = [f"{name}=={pins[name]}" for name in TOOLS]
    for name, (extras, others) in LISTS.items():
        with tempfile.TemporaryDirectory() as folder:
            wanted, torch = Path(folder, "wanted.in"), Path(folder, "torch.in")
            wanted.write_text("\n".join([*tools, *STORES, *others]), encoding="utf-8")
            torch.write_text(f"torch=={pins['torch']}", encoding="utf-8")
            command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct"]
            command += ["--only-binary", ":all:", "--python-version", "3.11", "--no-annotate", "--no-header"]
            command += ["--no-emit-package", "torch", "--constraint", str(torch), "--upgrade"]
            command += [word for extra in extras for word in ("--extra", extra)]
            done = subprocess.run(
                [*command, "pyproject.toml", str(wanted)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
            )
            if done.returncode:
                return done.returncode
        head = f"# The oldest versions for {', '.join(extras)}; `make lowest-versions` writes this file.\n"
        lines = [line for line in done.stdout.splitlines(keepends=True) if not line.startswith(CUDA)]
        (ROOT / ".ci" / name).write_text(head + "".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
