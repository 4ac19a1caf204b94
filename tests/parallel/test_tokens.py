"""A worker gets the access token beside the settings, whose pickle holds none."""

from __future__ import annotations

import io
import pickle

from bmretriever_integrations.parallel import worker
from bmretriever_integrations.parallel.messages import Load
from bmretriever_integrations.settings import EncoderSettings


def test_a_worker_process_loads_with_the_token(monkeypatch):
    seen = []

    class Engine:
        facts = None

        def __init__(self, settings):
            seen.append(settings)

    monkeypatch.setattr(worker, "WorkerEngine", Engine)
    settings = EncoderSettings(model="owner/private", device="cpu", token="hf_secret")
    request = pickle.loads(pickle.dumps(Load(settings, 0, settings.token)))
    worker.Server(io.BytesIO()).handle(1, request)
    assert seen == [settings]
    assert seen[0].token == "hf_secret"
    assert "hf_secret" not in repr(request)
