"""Fuzz the command line and its configuration."""

import os
from pathlib import Path

from lossbench.benchmarks.cli import parse
from lossbench.benchmarks.config import CompareConfig, TuneConfig, validate
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.training.optimizer import parse_settings

from .target import Target

LINES = (
    "compare",
    "compare --losses mse cross-entropy --epochs 2 --seeds 3 --name x",
    "compare --model lenet --width 8 --data synthetic --image-size 32 --augmentation none",
    "compare --preset photos --batch-size 32 --learning-rate 0.1 --weight-decay 1e-4",
    "compare --start confidently-wrong --validation 0.2 --device cpu --runs r --tuned",
    "tune --rates 0.1 0.3 --seeds 2 --workers 2 --losses all",
    "compare --optimizer adam(eps=1e-6) --schedule cosine --learning-rate 0.01",
    "evidence noise likelihood --looks 1 --device cpu",
    "report a b --output c",
    "view --runs runs --port 7007 --every-seed",
    "speed --only losses --seconds 0.5",
    "catalogue --output losses",
    "article --output docs --evidence runs/reference/evidence",
)
TOKENS = (
    *(b"\0", b"\0--help", b"--", b"=", b"\0-1", b"\0nan", b"\0inf", b"\0None", b"\0True", b"\0:"),
    *(
        f"\0{word}".encode()
        for line in LINES
        for word in line.split()
        if word.startswith("--") or word in ("compare", "tune")
    ),
)


def read(data: bytes, _: Path) -> None:
    """Parse arguments, separated by zero bytes as by the system, and validate them."""
    arguments = [os.fsdecode(word) for word in data.split(b"\0")]
    try:
        config = parse(arguments)
    except SystemExit as end:
        if end.code:
            raise AssertionError(f"it exited with {end.code}") from end
        return  # the help was shown
    if isinstance(config, CompareConfig | TuneConfig):
        validate(config)


def read_optimizer(data: bytes, _: Path) -> None:
    """Parse the value of --optimizer."""
    parse_settings(os.fsdecode(data))


OPTIMIZER = Target(
    lambda: [b"sgd", b"adam(betas=(0.9, 0.95), eps=1e-8)", b"torch.optim:RMSprop(alpha=0.9)"],
    read_optimizer,
    (UserError,),
    (b"(", b")", b"[", b"{", b"**", b"=", b",", b"lambda:", b"f''", b"\0", b"1e999", b"not "),
)
COMMAND = Target(
    lambda: [line.replace(" ", "\0").encode() for line in LINES], read, (UserError,), TOKENS
)
