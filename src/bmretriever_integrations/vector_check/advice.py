"""Say what to do about each mistake."""

from __future__ import annotations

from collections.abc import Sequence

ENCODER = "Encode with this package (BMRetrieverEncoder or a framework's component)"

# The beginning of a mistake's name -> what to do. The first that fits is taken.
_WAYS_OUT = {
    "mean pooling": f"{ENCODER}, or run `bmretriever export` and give that folder to sentence-transformers.",
    "weighted mean pooling": "Take the last token's state, as `bmretriever export` sets it for sentence-transformers.",
    "max pooling": "Take the last token's state, as `bmretriever export` sets it for sentence-transformers.",
    "the first token": "Take the last token's state: a causal network's first token has not seen the text.",
    "no EOS where a text was cut": "Cut the ids to one less than the limit first, and append EOS then.",
    "no EOS": f"{ENCODER}: it appends EOS to every sequence; tokenizers do not, whatever their settings say.",
    "EOS twice": "Append EOS once: the tokenizer or the caller, not both.",
    "EOS added after": "Cut the ids to one less than the limit before EOS is appended.",
    "no BOS": "Let the tokenizer add its own special tokens (add_special_tokens=True).",
    "a BOS": "Do not put a BOS before the text that the tokenizer itself does not add.",
    "cut at": "Use the same --max-length everywhere, or name the one that was meant with --max-length.",
    "title left out": "Give the passage's title as well: title and text are joined by one space.",
    "text left out": "Give the passage's text as well as its title.",
    "no space": "Write a space between `passage:` and the text: encode_passages does.",
    "title and text joined": "Join title and text by one space.",
    "LlamaIndex's metadata": "Prepare the nodes with bmretriever_integrations.llama_index.prepare_nodes.",
    "query template": "Encode passages with encode_passages, whose template needs no instruction.",
    "passage template": "Encode questions with encode_queries, whose template needs an instruction.",
    "obsolete": "Leave `Instruct: ` out: the authors removed it in June 2024.",
    "no template": "Encode passages with encode_passages and questions with encode_queries, which add the templates.",
    "no `Query: `": "A query's prompt is the instruction, a line break, `Query: ` and the text: encode_queries writes it.",
    "no instruction": "A query's prompt is the instruction, a line break, `Query: ` and the text: encode_queries writes it.",
    "instruction of the task": "Use that task's instruction everywhere, or name the one that was meant with --instruction.",
    "normalised": "Turn normalising off (normalize_embeddings=False): scores are plain dot products.",
    "not normalised": "Scale the vectors to length 1: the model's folder ends in a module Normalize.",
    "only the first": "Keep all dimensions, or compare with vectors that are cut in the same way (truncate_dim).",
    "rows in another order": "Bring vectors and texts into the same order before you store ids beside them.",
    "every row is the same": "The texts did not reach the network: check that the tokenizer has its vocabulary files.",
    "multiplied by": "Undo the scaling: scores are plain dot products.",
    "lengths changed": "Store the vectors as they come from the network.",
    "another width": "Name the model that made the vectors with --model.",
    "some rows": "Compute these rows again; if their texts changed since, compute all that changed.",
}


_UNKNOWN = (
    "Make sure that --model, --role and --texts are those of these vectors, and that no text was changed since.",
    "Vectors of a batch: mind the padding. Pass the attention mask, and take the last token that is no padding.",
    f"{ENCODER} if you cannot tell how they were made, and replace all vectors.",
)


def ways_out(mistakes: Sequence[str] | None) -> list[str]:
    """
    Say what to do.

    :param mistakes: the mistakes; None if nothing that was tried explains the vectors.
    :returns: a sentence for each kind of mistake.
    """
    if mistakes is None:
        return list(_UNKNOWN)
    found = [next((way for name, way in _WAYS_OUT.items() if mistake.startswith(name)), "") for mistake in mistakes]
    return [way for way in dict.fromkeys(found) if way]
