"""Who is compared with: RouteLLM's published figures, and a kNN and an MLP router on the same embeddings and the same splits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Ong and others, "RouteLLM: Learning to Route LLMs with Preference Data", arXiv:2406.18665v4, tables 2 and 3: share of calls to GPT-4 at
# half and at 80 % of the gap between the models, and the mean share of the gap recovered. Rows: the better training set of each router.
ROUTELLM = {
    "MMLU": {
        "BERT": {"cpt50": 0.4130, "cpt80": 0.7220, "apgr": 0.572},
        "causal LLM": {"cpt50": 0.3549, "cpt80": 0.7031, "apgr": 0.600},
        "matrix factorisation": {"cpt50": 0.3546, "cpt80": 0.7140, "apgr": 0.597},
        "SW ranking": {"cpt50": 0.3540, "cpt80": 0.7155, "apgr": 0.603},
    },
    "GSM8K": {
        "BERT": {"cpt50": 0.4476, "cpt80": 0.7909, "apgr": 0.531},
        "causal LLM": {"cpt50": 0.3364, "cpt80": 0.6326, "apgr": 0.622},
        "matrix factorisation": {"cpt50": 0.3882, "cpt80": 0.7262, "apgr": 0.565},
        "SW ranking": {"cpt50": 0.4121, "cpt80": 0.7220, "apgr": 0.568},
    },
}


def knn(train: Floats, scores: Floats, test: Floats, neighbours: int = 40) -> Floats:
    """The mean outcome of the nearest prompts by cosine; docs/routing.md says what other numbers of neighbours give."""
    near = np.argpartition(-(test @ train.T), neighbours, axis=1)[:, :neighbours]
    return scores[near].mean(axis=1)


def mlp(train: Floats, scores: Floats, test: Floats, *, hidden: int = 64, epochs: int = 25, seed: int = 0) -> Floats:
    """One hidden layer on the embedding, sigmoid outputs, cross-entropy, Adam, weight decay; as LLMRouter's and others' MLP routers."""
    rng = np.random.default_rng(seed)
    a = rng.normal(0, (2 / train.shape[1]) ** 0.5, (train.shape[1], hidden)).astype(np.float32)
    b = rng.normal(0, hidden**-0.5, (hidden, scores.shape[1])).astype(np.float32)
    rate = scores.mean(axis=0).clip(0.01, 0.99)
    parameters = [a, np.zeros(hidden, np.float32), b, np.log(rate / (1 - rate)).astype(np.float32)]
    first, second = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    inputs, outcomes = (train * train.shape[1] ** 0.5).astype(np.float32), scores.astype(np.float32)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(inputs))
        for start in range(0, len(order), 128):
            batch = order[start : start + 128]
            x, y = inputs[batch], outcomes[batch]
            z = x @ parameters[0] + parameters[1]
            h = np.maximum(z, 0)
            off = (1 / (1 + np.exp(-(h @ parameters[2] + parameters[3]))) - y) / len(batch)
            back = (off @ parameters[2].T) * (z > 0)
            slopes = [x.T @ back, back.sum(axis=0), h.T @ off, off.sum(axis=0)]
            step += 1
            for k, slope in enumerate(slopes):
                first[k] = 0.9 * first[k] + 0.1 * slope
                second[k] = 0.999 * second[k] + 0.001 * slope * slope
                move = (first[k] / (1 - 0.9**step)) / (np.sqrt(second[k] / (1 - 0.999**step)) + 1e-8)
                parameters[k] = parameters[k] - 5e-4 * (move + 0.01 * parameters[k])
    hidden_test = np.maximum((test * train.shape[1] ** 0.5).astype(np.float32) @ parameters[0] + parameters[1], 0)
    return (1 / (1 + np.exp(-(hidden_test @ parameters[2] + parameters[3])))).astype(np.float64)
