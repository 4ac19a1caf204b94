"""``python -m bmretriever_integrations``: the same as the ``bmretriever`` command."""

from __future__ import annotations

import sys

from bmretriever_integrations.cli import main

sys.exit(main())
