"""Which model answers a call: estimates of success for each candidate, and floors of quality that are certified or not claimed at all.

A library so far: no stage of the line uses it yet. `bounds`, `betting` and `intervals` are the statistics; `certify` states a floor
with them, `monitor` takes it back when the traffic is no longer that of the evidence; `features`, `answers` and `estimate` guess who
will succeed; `cascade` and `choice` turn the guesses into the cheapest policy whose floor holds. docs/routing.md has the whole of it.

Everything but `bounds` needs numpy (the extra ``local``), so nothing that the core imports at its start may import this package.
"""
