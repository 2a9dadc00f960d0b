"""Which model answers a call: estimates of success for each candidate, and floors of quality that are certified or not claimed at all.

`certify` states a floor with the statistics of `penstock.statistics`; `features`, `answers` and `estimate` guess who will succeed;
`cascade` and `choice` turn the guesses into the cheapest policy whose floor holds. docs/routing.md has the whole of it.
"""
