"""Serve TensorZero's embedded gateway until killed. Runs in TensorZero's own virtual environment; prints ``ready PORT``.

``_start_http_gateway`` is what the package's public ``patch_openai_client`` calls; calling it alone leaves the client out.
"""

import sys
import threading
from urllib.parse import urlsplit

from tensorzero.tensorzero import _start_http_gateway  # type: ignore[import-not-found]

gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
print("ready", urlsplit(gateway.base_url).port, flush=True)
threading.Event().wait()
