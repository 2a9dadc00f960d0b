"""How good was it: evaluations, judges, live sampling, groundedness, bias."""
