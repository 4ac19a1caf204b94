"""
Fused layers without a GPU: Triton's interpreter runs the kernels on the CPU. On CUDA the same tests run the kernels themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from packaging.version import Version
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from bmretriever_integrations.forward import fused, layout
from bmretriever_integrations.forward.choose import choose_forward
from bmretriever_integrations.forward.decoder import FlatDecoder
from bmretriever_integrations.forward.flat import FlatForward
from bmretriever_integrations.forward.projections import attention_of, window_of
from bmretriever_integrations.testing import ARCHITECTURES

triton = pytest.importorskip("triton", reason="Triton is not installed: it comes with PyTorch's builds for CUDA")
from bmretriever_integrations.forward import kernels  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.gpu


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


@pytest.fixture
def fuses(monkeypatch):
    """Decoders take their fused twins here as they do on CUDA."""
    plain = FlatDecoder.__init__

    def init(self, network, way):
        plain(self, network, way)
        if DEVICE == "cpu":
            self.fuse()

    monkeypatch.setattr(FlatDecoder, "__init__", init)
    monkeypatch.setattr(FlatDecoder, "prepack", lambda self, quantization: False)


@pytest.mark.parametrize("plus_one", [True, False])
@pytest.mark.parametrize("width", [64, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm(width, plus_one, dtype):
    given, weight = (5 * noise(3, 7, width)).to(dtype), noise(width, seed=1).to(dtype)
    scaled = given.float() * torch.rsqrt(given.float().pow(2).mean(-1, keepdim=True) + 1e-6)
    wanted = scaled * (1 + weight.float()) if plus_one else scaled.to(dtype).float() * weight.float()
    close = {
        "rtol": 1e-5 if dtype == torch.float32 else 2e-2,
        "atol": 1e-5,
    }  # the interpreter cuts bits off, it rounds none
    torch.testing.assert_close(kernels.rms_norm(given, weight, 1e-6, plus_one), wanted.to(dtype), **close)
    turned = kernels.rms_norm(given.transpose(0, 1), weight, 1e-6, plus_one)
    torch.testing.assert_close(turned, wanted.to(dtype).transpose(0, 1), **close)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # in the interpreter: the sigmoid of -100 is 0
@pytest.mark.parametrize(
    ("tanh", "plain"), [(True, lambda x: functional.gelu(x, approximate="tanh")), (False, functional.silu)]
)
@pytest.mark.parametrize("shape", [(3, 5), (2, 1025), (1, 2048)])
def test_gate(tanh, plain, shape):
    gate, up = 4 * noise(*shape), noise(*shape, seed=1)
    wanted = plain(gate) * up
    found = kernels.gate_(gate, up, tanh)
    assert found is gate
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("heads", "width", "rotated"), [(16, 64, 16), (2, 12, 6), (1, 256, 256), (3, 20, 20)])
def test_rotate(heads, width, rotated):
    """Part of a head as GPT-NeoX, all of it as the others; halves that are no power of two; strides as of a joint matrix."""
    tokens = 129
    whole = noise(tokens, heads, 3 * width)
    given = whole[..., width : 2 * width]
    angles = noise(tokens, rotated // 2, seed=1)
    cos, sin = (torch.cat([part, part], dim=-1) for part in (angles.cos(), angles.sin()))
    turned, passed = given[..., :rotated], given[..., rotated:]
    half = torch.cat([-turned[..., rotated // 2 :], turned[..., : rotated // 2]], dim=-1)
    wanted = torch.cat([turned * cos[:, None] + half * sin[:, None], passed], dim=-1)
    untouched = torch.cat([whole[..., :width], whole[..., 2 * width :]], dim=-1).clone()
    found = kernels.rotate_(given, cos, sin)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert torch.equal(torch.cat([whole[..., :width], whole[..., 2 * width :]], dim=-1), untouched)


def test_only_mistral_has_windows(tiny):
    """A Llama whose config.json names one is run by transformers without."""
    for architecture, window in (("mistral", 7), ("llama", None), ("gemma", None), ("gpt_neox", None)):
        network = AutoModel.from_config(AutoConfig.from_pretrained(tiny(architecture), sliding_window=7))
        assert window_of(attention_of(network.layers[0])) == window


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fused_layers_equal_one_row_at_a_time(tiny, fuses, architecture, layers):
    torch.manual_seed(layers)
    config = AutoConfig.from_pretrained(tiny(architecture), num_hidden_layers=layers)
    network = AutoModel.from_config(config).eval().to(DEVICE)
    prefix = torch.randint(5, 100, (9,)).tolist()
    rows = [[*prefix, *torch.randint(5, 100, (length,)).tolist()] for length in (31, 12, 12, 5, 1, 1)]
    with torch.inference_mode():
        alone = torch.stack(
            [network(input_ids=torch.tensor([row], device=DEVICE)).last_hidden_state[0, -1] for row in rows]
        )
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    for pads in (False, True):
        forward = FlatForward(network, 0, way="grouped", pads=pads)
        assert "fused" in forward.name
        for shared in (0, 4, 9):
            torch.testing.assert_close(forward(rows, shared), alone, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_compiling_takes_the_layers_as_transformers_has_them(tiny):
    decoder = FlatDecoder(AutoModel.from_pretrained(tiny("mistral")).eval().to(DEVICE), "grouped")
    decoder.fuse()
    assert decoder.is_fused
    assert any(isinstance(module, fused.FusedNorm) for module in decoder.body.modules())
    decoder.compile()
    assert not decoder.is_fused
    assert not any(isinstance(module, fused.FusedNorm) for module in decoder.body.modules())


def test_what_is_not_right_is_not_taken(tiny, fuses, monkeypatch):
    """A family that norms otherwise, say: the layers stay, and a warning says so."""
    network = AutoModel.from_pretrained(tiny("gemma")).eval().to(DEVICE)
    rows = [[5, 6, 7, 8], [9, 10]]
    plain = choose_forward(network, 0, "plain")(rows)

    def broken(*_arguments):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable")

    for wrong, message in ((lambda given, *_: given, "not right on"), (broken, "not possible on .*C compiler")):
        monkeypatch.setattr(kernels, "rms_norm", wrong)
        with pytest.warns(UserWarning, match=message):
            forward = FlatForward(network, 0, way="grouped", pads=False)
        assert "fused" not in forward.name
        torch.testing.assert_close(forward(rows), plain, rtol=1e-4, atol=1e-5)


def test_old_gpus_are_left_alone(tiny, monkeypatch):
    """Triton is not made for them, and its compiler may end the process."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    layer = AutoModel.from_pretrained(tiny("llama")).layers[0]
    monkeypatch.setattr(type(next(layer.parameters())), "is_cuda", True, raising=False)
    assert not fused.can_fuse(layer, None)


def test_without_triton_nothing_is_said(tiny, fuses, monkeypatch):
    """A warning would be an error here."""
    monkeypatch.setattr(fused.importlib.util, "find_spec", lambda name: None)
    forward = FlatForward(AutoModel.from_pretrained(tiny("llama")).eval(), 0, way="grouped", pads=False)
    assert forward.name == "packed, grouped attention"


def test_kept_keys_and_values_are_those_of_the_plain_layers(tiny):
    """A shared prefix is run by fused layers and read by them; rotation in place must not reach what is kept twice."""
    network = AutoModel.from_pretrained(tiny("gpt_neox")).eval().to(DEVICE)
    decoder = FlatDecoder(network, "grouped")
    ids = torch.tensor([5, 6, 7, 8], device=DEVICE)

    def kept():
        batch = layout.Layout((4,), (4,), torch.device(DEVICE), kept=[])
        with torch.inference_mode():
            return decoder.keys_and_values(ids, batch)

    plain = kept()
    decoder.fuse()
    assert decoder.is_fused
    for found, wanted in zip(kept(), plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


HOPPER = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from bmretriever_integrations.forward import kernels  # noqa: E402

def wide(kernel, tensors, numbers, constants):
    names = [*tensors, *numbers, *constants]
    kinds = {**dict.fromkeys(tensors, "*bf16"), **numbers, **dict.fromkeys(constants, "constexpr")}
    strides = ("width", "of_token", "of_head", "of_angles")
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in (*tensors, *strides) if name in kinds}
    code = compile(ASTSource(kernel, kinds, constants, aligned), target=GPUTarget("cuda", 90, 32)).asm["ptx"]
    return [line.split()[1] for line in code.splitlines() if "ld.global" in line or "st.global" in line]

norm = {"PLUS_ONE": True, "BLOCK": 2048}
found = wide(kernels._rms_norm, ["given", "weight", "output"], {"width": "i32", "eps": "fp32"}, norm)
found += wide(kernels._gate, ["gate", "up"], {"width": "i32"}, {"TANH": False, "BLOCK": kernels.ELEMENTS})
strides = dict.fromkeys(["rows", "heads", "of_token", "of_head", "of_angles"], "i32")
for half in (8, 32, 64, 128):
    sizes = {"HALF": half, "PADDED": half, "BLOCK": kernels.PAIRS // half}
    found += wide(kernels._rotate, ["given", "cos", "sin"], strides, sizes)
print(sorted(set(found)))
"""


@pytest.mark.skipif(
    Version(triton.__version__) < Version("3.6"), reason="Triton's compiler is called otherwise before 3.6"
)
def test_kernels_compile_for_a_gpu_and_move_sixteen_bytes_at_a_time():
    """Triton compiles for a GPU without one."""
    alone = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", HOPPER], capture_output=True, text=True, env=alone, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "['ld.global.v4.b32', 'st.global.v4.b32']"
