"""What the demo shows on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from penstock.demo.client import Heard
from penstock.demo.money import expected
from penstock.demo.verify import Check


class Show:
    """Progress of the traffic: a bar on a terminal, silence elsewhere until it is over."""

    def __init__(self, console: Console, total: int) -> None:
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("traffic", total=total, said="")
        self._answered = self._refused = self._left = self._spent = 0

    def __enter__(self) -> Show:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def heard(self, heard: Heard) -> None:
        """One more reply."""
        if heard.status != 200:
            self._refused += 1
        elif heard.complete:
            self._answered += 1
            self._spent += expected(heard)
        else:
            self._left += 1
        self._progress.update(self._task, advance=1, said=self.summary())

    def summary(self) -> str:
        """The count so far, in words."""
        return f"{self._answered} answered, {self._refused} refused, {self._left} left, ${self._spent / 1e6:.2f}"


def welcome(console: Console, url: str, key: str, whose: str = "") -> None:
    """Where the console is and how to get in; ``whose`` says whose key it is."""
    console.print()
    console.print(f"  Console  [link={url}/console/]{url}/console/[/link]", highlight=False)
    console.print(f"  Key      {key}" + (f"   ({whose})" if whose else ""), highlight=False, soft_wrap=True)
    console.print(f"  API      {url}/v1   (OpenAI's base_url)   {url}   (Anthropic's base_url)", highlight=False, soft_wrap=True)
    console.print()


def verdict(console: Console, checks: Sequence[Check]) -> None:
    """The table of what was verified."""
    table = Table(title="What was verified", title_justify="left")
    table.add_column("")
    table.add_column("check")
    table.add_column("found", overflow="fold")
    for check in checks:
        table.add_row("[green]ok[/green]" if check.right else "[bold red]WRONG[/bold red]", escape(check.what), escape(check.found))
    console.print(table)
