"""The command ``cup4soil``."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

import click
from pydantic import ValidationError

from cup4soil import __version__
from cup4soil.errors import Cup4soilError, InvalidInput

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143


_COMMANDS = {
    "demo": "Run the whole chain on embedded data.",
    "composite": "Composite Sentinel-2 scenes into bare-soil reflectance.",
    "index": "Find the extremes of the bare-soil index, or bring them up to date.",
    "thresholds": "Find the thresholds of the bare-soil index by region.",
    "samples": "Check samples: what they hold, and every row that cannot be used.",
    "terrain": "Make covariates of an elevation model.",
    "train": "Learn a soil property from samples, and validate it.",
    "predict": "Map a soil property with its uncertainty.",
    "evaluate": "Hold a soil map against relief, classes, its borders and samples.",
    "derive": "Map what follows from predicted properties: stocks, water, erosion, classes.",
    "catalog": "Look after a store's catalog.",
    "metadata": "Write what a product says of itself: ISO, DCAT, DataCite, schema.org, RO-Crate, citation.",
    "keys": "Make, list and remove the keys of programs.",
    "serve": "Serve a store: page, STAC API, OGC API Coverages and Processes.",
    "worker": "Run the jobs of a store.",
}


class _Commands(click.Group):
    """Imports a command when it is used: what one needs (compilers, forests) should not delay the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"service.commands.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="cup4soil")
def cli() -> None:
    """Bare-soil composites and soil maps, each with its uncertainty, its area of applicability and its origin."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. An error is one line on standard error."""
    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="cup4soil", standalone_mode=False)
    except click.ClickException as error:
        return _fail(_usage(error), EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; nothing half-written was left behind", EXIT_INTERRUPTED)
    except ValidationError as error:
        return _fail(str(_first_problem(error)), EXIT_USAGE)
    except Cup4soilError as error:
        return _fail(str(error), EXIT_ERROR)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}; check that it may be used", EXIT_ERROR)
    return 0


def main() -> None:
    """Entry point of the installed command."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone; Python would complain once more when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EXIT_ERROR
    sys.exit(status)


def _fail(message: str, status: int) -> int:
    click.echo(f"cup4soil: error: {message}", err=True)
    return status


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    return f"{message}; see {context.command_path} --help" if context else message


def _first_problem(error: ValidationError) -> InvalidInput:
    """The first thing wrong with an option, or with a setting of the environment."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    setting = error.title.endswith("Settings")
    name = f"CUP4SOIL_{field.upper()}" if setting else f"--{field.replace('_', '-')}"
    return InvalidInput(f"{name} is {first.get('input')!r}", first["msg"])


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """End as by an interrupt, so that what is half-written is removed."""
    raise SystemExit(EXIT_TERMINATED)


if __name__ == "__main__":
    main()
