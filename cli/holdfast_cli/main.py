"""The `holdfast` command: names its sub-commands and imports one only when it is called.

Owns the list of commands and what is said when an extra is missing. Does no work of its own; every command is a module
beside this one. Exit codes: `failure`.
"""

import errno
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

try:
    import click
except ModuleNotFoundError:
    raise SystemExit("holdfast: needs the package 'click'; install it with: pip install 'holdfast[cli]'") from None

from holdfast import __version__
from holdfast_cli.failure import Failure, unforeseen
from holdfast_cli.terminal import print_all_characters


@dataclass(frozen=True, slots=True)
class Entry:
    """A sub-command: where it is, what it does, and the extra that brings what it needs."""

    module: str
    help: str
    extra: str


COMMANDS = {
    "dev": Entry("holdfast_cli.dev", "Run everything on this machine over a folder of YAML, without a cluster.", "all"),
    "lint": Entry("holdfast_cli.lint", "Judge manifests before anybody applies them, without a cluster.", "operator,cli"),
    "plan": Entry("holdfast_cli.plan", "Tell what would change if manifests were applied.", "operator,cli"),
    "policy": Entry("holdfast_cli.policy", "Say who would break a policy, before it is applied.", "operator,cli"),
    "export": Entry("holdfast_cli.export", "Write manifests of the clients and policies that are there.", "operator,cli"),
    "import": Entry(
        "holdfast_cli.import_clients", "Make manifests from the clients of Keycloak, Hydra or Cloudentity.", "operator,cli"
    ),
    "token": Entry("holdfast_cli.token", "Get a bound token with a certificate; print it, or call an API.", "cli"),
    "inspect": Entry("holdfast_cli.inspect", "Explain a token or a certificate, and whether they belong together.", "cli"),
    "why": Entry(
        "holdfast_cli.why", "Explain a decision by its id, or how a certificate would be judged.", "authserver,cli"
    ),
    "authserver": Entry("holdfast_cli.authserver", "Start the authorization server.", "authserver,cli"),
    "keys": Entry("holdfast_cli.keys", "Show, rotate and retire the keys of the authorization server.", "authserver,cli"),
    "registry": Entry("holdfast_cli.registry", "Back up and restore the registry.", "authserver,cli"),
    "operator": Entry("holdfast_cli.operator", "Start the operator.", "operator,cli"),
    "injector": Entry("holdfast_cli.injector", "Start the admission webhooks of a cluster.", "operator,cli"),
}


@contextmanager
def _one_line(ctx: click.Context | None) -> Iterator[None]:
    """Whatever is raised ends as a Failure; click's own exceptions and a broken pipe are left to click."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise
        raise unforeseen(error, None if ctx is None else ctx.invoked_subcommand) from error


class LazyGroup(click.Group):
    """A group that imports a command when it runs, so that each extra can be left out."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        try:
            module = importlib.import_module(entry.module)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("holdfast"):
                raise
            raise Failure(
                f"{cmd_name} needs the package {error.name!r}; install it with: pip install 'holdfast[{entry.extra}]'"
            ) from error
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the options of `holdfast` itself; --help and --version print here."""
        print_all_characters()
        with _one_line(None):
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, its options and its help included."""
        with _one_line(ctx):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="holdfast", message="%(prog)s %(version)s")
def main() -> None:
    """Certificate-bound OAuth tokens (RFC 8705) for workloads.

    Exit codes: 0 done; 1 the answer is no (refused, not matching); 2 it could not be asked (option, file, port).
    """


if __name__ == "__main__":
    main()
