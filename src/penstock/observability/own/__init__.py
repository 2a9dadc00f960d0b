"""What ran in this house as spans, beside those that other programs send: calls with their attempts and verdicts, runs and their steps."""
