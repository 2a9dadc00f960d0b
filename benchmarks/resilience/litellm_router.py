"""LiteLLM's router under the drill: run by the interpreter of its own virtual environment, so it imports nothing of this repository.

Arguments: a JSON object with ``ports``, ``rate``, ``seconds`` and ``try_seconds``. Prints one line, ``ready``, and begins when a line comes
in; prints the outcomes as JSON at the end. The router is set as its documentation proposes for production: simple shuffle, three retries,
its cooldowns (https://docs.litellm.ai/docs/routing).
"""

import asyncio
import json
import os
import sys
import time

PATIENCE_SECONDS = 30.0
"""How long the last calls may take."""

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_LOG"] = "CRITICAL"


def build(given):
    import litellm
    from litellm import Router

    litellm.suppress_debug_info = True
    ports = given["ports"]
    bases = {name: f"http://127.0.0.1:{port}/v1" for name, port in ports.items() if name != "tls"}
    bases["tls"] = f"https://127.0.0.1:{ports['tls']}/v1"
    bases["dns"] = "http://provider.invalid/v1"
    listed = [
        {"model_name": "m", "litellm_params": {"model": "openai/m", "api_key": "sk-drill", "api_base": base}, "model_info": {"id": name}}
        for name, base in bases.items()
    ]
    return Router(
        model_list=listed,
        routing_strategy="simple-shuffle",
        num_retries=3,
        timeout=given["try_seconds"],
        stream_timeout=given["try_seconds"],
        allowed_fails=3,
        cooldown_time=5,
    )


async def one(router, stream):
    message = [{"role": "user", "content": "hello"}]
    began = time.monotonic()
    try:
        if stream:
            finished = None
            async for chunk in await router.acompletion(model="m", messages=message, stream=True):
                if chunk.choices and chunk.choices[0].finish_reason:
                    finished = chunk.choices[0].finish_reason
            said = "ok" if finished == "stop" else "cut off"
        else:
            reply = await router.acompletion(model="m", messages=message)
            said = "ok" if reply.choices[0].message.content else "empty"
    except Exception as fault:  # whatever its router lets through is a failed call
        said = type(fault).__name__
    return began, time.monotonic() - began, stream, said


async def drill(given):
    router = build(given)
    await one(router, False)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began, gap, tasks = time.monotonic(), 1 / given["rate"], []
    for number in range(int(given["seconds"] * given["rate"])):
        wait = began + number * gap - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(router, number % 5 == 0)))
    # Some of its calls never come back; a caller would have left long ago.
    await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
    late = (0.0, PATIENCE_SECONDS, False, "never came back")
    done = [task.result() if task.done() else late for task in tasks]
    print(json.dumps([(max(0.0, at - began), took, stream, said) for at, took, stream, said in done]), flush=True)
    os._exit(0)  # its background threads would keep the process


asyncio.run(drill(json.loads(sys.argv[1])))
