"""`fieldmesh completion`: lets a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

from node.cli.output import emit, json_option

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_FIELDMESH_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the completion script of a shell.

    \b
    bash:  fieldmesh completion bash > ~/.local/share/bash-completion/completions/fieldmesh
    zsh:   fieldmesh completion zsh > ~/.zfunc/_fieldmesh   (with ~/.zfunc in $fpath)
    fish:  fieldmesh completion fish > ~/.config/fish/completions/fieldmesh.fish
    """
    from node.cli.main import root

    complete = get_completion_class(shell)
    assert complete is not None  # SHELLS are those that click knows
    source = complete(root, {}, "fieldmesh", VARIABLE)
    script = source.source_template % source.source_vars()  # source() also runs bash to look at its version
    emit({"shell": shell, "script": script}, as_json, script)
