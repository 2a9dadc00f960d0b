from __future__ import annotations

from penstock.gateway.providers.profile import COMPLETIONS, Profile, Reshape


def test_a_body_is_reshaped_at_its_top_level_only() -> None:
    reshape = Reshape(gets={"anthropic_version": "v"}, without=("model",))
    assert reshape.reshaped(b'{"model":"m","stream":true,"messages":[ {"model": 1} ]}') == (
        b'{"anthropic_version":"v","stream":true,"messages":[ {"model": 1} ]}'
    )
    assert reshape.reshaped(b'{"anthropic_version":"theirs"}') == b'{"anthropic_version":"theirs"}'


def test_a_shape_that_only_some_models_take() -> None:
    profile = Profile(name="p", title="P", only={COMPLETIONS: ("old-*",)})
    assert profile.takes(COMPLETIONS, "old-1")
    assert not profile.takes(COMPLETIONS, "new-1")
    assert profile.takes("openai.chat", "new-1")
