"""Bias as a measured difference: counterfactual pairs of a task's prompts (`pairs`), what can be compared of the two replies (`measures`),
and a test with an interval (`compare`). A library that evaluations call; docs/bias.md says what it can and cannot show."""
