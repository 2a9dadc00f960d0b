"""Bodies of several parts: read while they arrive, sent on while they arrive, and told to the record by digest and size."""
