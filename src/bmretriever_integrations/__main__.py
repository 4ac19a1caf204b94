"""Run the ``bmretriever`` command by ``python -m bmretriever_integrations``."""

from __future__ import annotations

import sys

from bmretriever_integrations.cli import main

sys.exit(main())
