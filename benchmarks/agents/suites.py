"""The tasks of the drill and the worlds that they change: AgentDojo's, BFCL's, and plain ones that need neither package.

This side runs under a Python that has `agentdojo` and `bfcl-eval`; it imports nothing of ours. Of both packages the data and the simulated
systems are used as they are shipped, and their own checkers say whether a final state is right.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import pickle
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

AGENTDOJO = "v1.2.2"
BFCL_CLASSES = "bfcl_eval.constants.executable_backend_config"
BFCL_CHECKER = "bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker"


class Call(NamedTuple):
    """A call of a tool, as the ground truth has it."""

    name: str
    arguments: dict[str, Any]


class Task(NamedTuple):
    """What is asked, the calls that answer it turn by turn, and the words of the answer."""

    id: str
    prompt: str
    turns: list[list[Call]]
    output: str


class Suite(Protocol):
    """Tasks over one kind of world."""

    name: str

    def tasks(self) -> list[Task]: ...

    def parameters(self, tool: str) -> list[str]:
        """The names of a tool's arguments."""
        ...

    def open(self, task: str) -> Any:
        """A fresh world for a task."""
        ...

    def call(self, world: Any, name: str, arguments: dict[str, Any]) -> str:
        """Do it; whatever is raised is the tool's error."""
        ...

    def state(self, world: Any) -> bytes:
        """All of the world, to see whether a call has changed it."""
        ...

    def verdict(self, task: Task, world: Any, results: list[list[str]]) -> str:
        """What is wrong with the final state and with what the calls gave, turn by turn; empty where all is right."""
        ...


class Plain:
    """A list that grows: enough to see what is done twice, or not at all. Needs no package."""

    name = "plain"

    def __init__(self, tasks: int = 6) -> None:
        self._tasks = tasks

    def tasks(self) -> list[Task]:
        turns = range(4)
        return [
            Task(f"plain_{n}", f"Add to the list {n}.", [[Call("count", {"since": turn}), *adds(n, turn)] for turn in turns], "added")
            for n in range(self._tasks)
        ]

    def parameters(self, tool: str) -> list[str]:
        return ["value"] if tool == "add" else ["since"]

    def open(self, task: str) -> Any:
        return []

    def call(self, world: Any, name: str, arguments: dict[str, Any]) -> str:
        if name == "add":
            world.append(arguments["value"])
        return f"{len(world)} there"

    def state(self, world: Any) -> bytes:
        return json.dumps(world).encode()

    def verdict(self, task: Task, world: Any, results: list[list[str]]) -> str:
        wanted = [call.arguments["value"] for turn in task.turns for call in turn if call.name == "add"]
        return "" if world == wanted else f"{world} is there instead of {wanted}"


def adds(task: int, turn: int) -> list[Call]:
    """Two calls that no other turn makes."""
    return [Call("add", {"value": f"{task}.{turn}.{n}"}) for n in range(2)]


class Dojo:
    """One of AgentDojo's suites (MIT licence)."""

    def __init__(self, name: str) -> None:
        module = importlib.import_module("agentdojo.task_suite.load_suites")
        runtime = importlib.import_module("agentdojo.functions_runtime")
        self.name = f"dojo_{name}"
        self._suite = module.get_suite(AGENTDOJO, name)
        self._runtime = runtime.FunctionsRuntime(self._suite.tools)
        self._told = importlib.import_module("agentdojo.agent_pipeline.tool_execution").tool_result_to_str
        self._fresh = self._suite.load_and_inject_default_environment({})
        self._found: dict[str, Any] = {f"{name}/{one.ID}": one for one in self._suite.user_tasks.values()}

    def tasks(self) -> list[Task]:
        found: list[Task] = []
        for id, one in self._found.items():
            calls = one.ground_truth(self.open(id))
            turns = [[Call(call.function, json.loads(call.model_dump_json())["args"])] for call in calls]
            found.append(Task(id, one.PROMPT, turns, one.GROUND_TRUTH_OUTPUT or "done"))
        return found

    def parameters(self, tool: str) -> list[str]:
        return list(self._runtime.functions[tool].parameters.model_fields)

    def open(self, task: str) -> Any:
        return self._found[task].init_environment(self._fresh.model_copy(deep=True))

    def call(self, world: Any, name: str, arguments: dict[str, Any]) -> str:
        return self._told(self._runtime.run_function(world, name, arguments, raise_on_error=True)[0])

    def state(self, world: Any) -> bytes:
        return world.model_dump_json().encode()

    def verdict(self, task: Task, world: Any, results: list[list[str]]) -> str:
        one, before = self._found[task.id], self.open(task.id)
        calls = [call for turn in task.turns for call in turn]
        runtime = importlib.import_module("agentdojo.functions_runtime")
        trace = [runtime.FunctionCall(function=call.name, args=call.arguments) for call in calls]
        useful = one.utility_from_traces(task.output, before, world, trace)
        if useful is None:
            useful = one.utility(task.output, before, world)
        return "" if useful else "AgentDojo's own check says that the task is not done"


class Bfcl:
    """BFCL's multi-turn tasks (Apache 2.0 licence), with the stateful systems that they are about."""

    name = "bfcl"
    kinds = ("base", "long_context", "miss_func", "miss_param")

    def __init__(self) -> None:
        told = importlib.import_module(BFCL_CLASSES)
        self._modules: dict[str, str] = told.CLASS_FILE_PATH_MAPPING
        self._stateless: Sequence[str] = told.STATELESS_CLASSES
        self._checker: Any = importlib.import_module(BFCL_CHECKER)
        self._entries: dict[str, dict[str, Any]] = {}
        self._truth: dict[str, list[list[str]]] = {}
        data = files("bfcl_eval") / "data"
        for kind in self.kinds:
            name = f"BFCL_v4_multi_turn_{kind}.json"
            for line in (data / name).read_text("utf-8").splitlines():
                entry = json.loads(line)
                self._entries[entry["id"]] = entry
            for line in (data / "possible_answer" / name).read_text("utf-8").splitlines():
                entry = json.loads(line)
                self._truth[entry["id"]] = entry["ground_truth"]
        self._methods: dict[str, Any] = {}

    def tasks(self) -> list[Task]:
        found: list[Task] = []
        for id, turns in self._truth.items():
            known = self._known(self.open(id))
            said = "\n".join(message["content"] for turn in self._entries[id]["question"] for message in turn)
            found.append(Task(id, said, [[self._read(text, known) for text in turn] for turn in turns], "done"))
        return found

    def parameters(self, tool: str) -> list[str]:
        return list(inspect.signature(self._methods[tool]).parameters)

    def open(self, task: str) -> Any:
        entry = self._entries[task]
        world: dict[str, Any] = {}
        for name in entry["involved_classes"]:
            world[name] = getattr(importlib.import_module(self._modules[name]), name)()
            if name not in self._stateless:
                given = copy.deepcopy(entry["initial_config"].get(name, {}))
                world[name]._load_scenario(given, long_context="long_context" in task)
        return world

    def call(self, world: Any, name: str, arguments: dict[str, Any]) -> str:
        try:
            result = self._known(world)[name](**copy.deepcopy(arguments))  # it keeps and changes what it is given
        except Exception as fault:  # BFCL tells its models so, and its ground truth has such calls
            return f"Error during execution: {fault}"
        if isinstance(result, dict):
            try:
                return json.dumps(result)
            except TypeError:
                return str(result)
        return str(result)

    def state(self, world: Any) -> bytes:
        return pickle.dumps({name: vars(one) for name, one in world.items()})

    def verdict(self, task: Task, world: Any, results: list[list[str]]) -> str:
        right = self.open(task.id)
        wanted = [[self.call(right, call.name, call.arguments) for call in turn] for turn in task.turns]
        told = self._checker.state_checker(world, right)
        if not told["valid"]:
            return str(told["error_message"])
        so_far: list[str] = []
        for place, (mine, truth) in enumerate(zip(results, wanted, strict=True)):
            so_far += mine
            told = self._checker.response_checker(so_far, truth, place)
            if not told["valid"]:
                return str(told["error_message"])
        return ""

    def _known(self, world: Any) -> dict[str, Any]:
        found = {
            name: method
            for one in world.values()
            for name, method in inspect.getmembers(one, predicate=inspect.ismethod)
            if not name.startswith("_")
        }
        self._methods |= found
        return found

    def _read(self, text: str, known: dict[str, Any]) -> Call:
        """``mv('a', destination='b')`` with each argument under its name."""
        made = ast.parse(text, mode="eval").body
        assert isinstance(made, ast.Call)
        assert isinstance(made.func, ast.Name)
        given = [ast.literal_eval(one) for one in made.args]
        named = {str(one.arg): ast.literal_eval(one.value) for one in made.keywords}
        try:
            bound = inspect.signature(known[made.func.id]).bind(*given, **named).arguments
        except TypeError:
            assert not given, text
            bound = named  # a call that fails, as the ground truth wants it
        return Call(made.func.id, json.loads(json.dumps(bound)))


def suites(names: Sequence[str]) -> list[Suite]:
    """The suites by their names: ``plain``, ``agentdojo``, ``bfcl``; ``plain:40`` has that many tasks."""
    found: list[Suite] = []
    for name in names:
        if name == "agentdojo":
            found += [Dojo(one) for one in ("workspace", "travel", "banking", "slack")]
        elif name == "bfcl":
            found.append(Bfcl())
        else:
            found.append(Plain(int(name.partition(":")[2] or 6)))
    return found


def changing(suite: Suite, tasks: Sequence[Task]) -> set[str]:
    """The tools that change something: those of which any call of the ground truth leaves its world other than before."""
    found: set[str] = set()
    for task in tasks:
        world = suite.open(task.id)
        before = suite.state(world)
        for call in (call for turn in task.turns for call in turn):
            suite.call(world, call.name, call.arguments)
            after = suite.state(world)
            if after != before:
                found.add(call.name)
            before = after
    return found
