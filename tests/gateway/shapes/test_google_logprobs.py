"""Log probabilities of Gemini's and of OpenAI's."""

from __future__ import annotations

from tests.gateway.shapes.google import GEMINI, asked, reply, said


def test_log_probabilities_both_ways() -> None:
    # https://ai.google.dev/api/generate-content#LogprobsResult
    chosen = {"token": "hé", "tokenId": 5, "logProbability": -0.25}
    result = {"chosenCandidates": [chosen], "topCandidates": [{"candidates": [chosen, {"token": "a", "logProbability": -2.0}]}]}
    body = reply({"text": "hé"})
    body["candidates"][0]["logprobsResult"] = result
    (token,) = said(body)["choices"][0]["logprobs"]["content"]
    assert (token["token"], token["logprob"], token["bytes"]) == ("hé", -0.25, [104, 195, 169])
    assert [top["token"] for top in token["top_logprobs"]] == ["hé", "a"]
    again = said(body, GEMINI)["candidates"][0]["logprobsResult"]
    assert again["topCandidates"][0]["candidates"][1] == {"token": "a", "logProbability": -2.0}
    out = asked({"contents": [], "generationConfig": {"responseLogprobs": True, "logprobs": 2}})
    assert (out["logprobs"], out["top_logprobs"]) == (True, 2)
