"""``echoic export``: write trained models as one ONNX encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import expand_path
from echoic.cli.output import as_size, complain, progress_bar, say, shorten


def run(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="M.echoic", parser=expand_path, help="Trained models; several become one ensemble."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT.onnx",
            parser=expand_path,
            help="Where to write; the card goes beside.",
        ),
    ],
    precision: Annotated[
        str,
        typer.Option(
            metavar="P", help="fp32, or int8: a quarter of the size, and checked on held-out clips."
        ),
    ] = "fp32",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            parser=expand_path,
            help="Measure on the held-out clips of this folder or manifest "
            "[default: for int8, what the model was trained on].",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the encoder [default: the output's]."),
    ] = None,
) -> None:
    """Write trained models as one encoder that needs no torch.

    OUT.onnx and its card OUT.json belong together; --encoder OUT.onnx uses them wherever an encoder is named.
    """
    from echoic.training.export import MOST_LOST, export

    with progress_bar("decoding") as progress:
        made = export(models, output, precision=precision, data=data, name=name, progress=progress)
    for kind, found in made.measured.items():
        figures = "".join(
            f"  {label} {found.figures[key]:.3f}"
            for key, label in (("p1", "P@1"), ("mean_average_precision", "mAP"))
            if key in found.figures
        )
        say(f"{kind}{figures}  {as_size(found.n_bytes)}  {found.speed:.0f}x realtime on one thread")
    if made.lost is not None and made.lost.high > MOST_LOST:
        complain(
            f"warning: too few clips are held out to tell whether int8 loses more than {MOST_LOST:g} of mAP: "
            f"it loses {made.lost.value:.3f} (95 % interval {made.lost.low:.3f} to {made.lost.high:.3f}); "
            "measure on more with --data, or export it as fp32"
        )
    speeds = [found.speed for found in made.measured.values()]
    if speeds[-1] < speeds[0]:
        complain(f"warning: {precision} is slower than fp32 on this machine, and only smaller")
    say(
        f"encoder {made.card['name']}@{made.card['revision']} with {made.card['dim']} dimensions "
        f"in {shorten(str(output))}"
    )
