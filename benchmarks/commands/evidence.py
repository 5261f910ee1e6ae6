"""`lossbench evidence`: list the claims, or examine some."""

from __future__ import annotations

import shlex

from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.evidence.runner import CLAIMS, claim_of, claims_of, examine
from lossbench.benchmarks.records.claim import FILE, read_claim
from lossbench.benchmarks.report.claims import kind_of
from lossbench.benchmarks.subcommands import PROGRAM, EvidenceCommand
from lossbench.benchmarks.training.checks import resolve_device
from lossbench.losses import kernels


def run(command: EvidenceCommand, line: str) -> int:
    """Run the command and return the exit code."""
    if not command.names:
        return list_claims(command)
    for flag, value in (("--workers", command.workers), ("--looks", command.looks)):
        if value is not None and value < 1:
            raise UserError(f"{flag} {value}: must be at least 1")
    claims, reporter = claims_of(command.names), Reporter()
    if command.kernels:
        # Here, because a worker process would build them too.
        kernels.ensure(reporter.say)
    done = examine(
        claims,
        command.runs,
        resolve_device(command.device),
        command.workers,
        line,
        reporter,
        command.kernels,
        command.looks,
    )
    for each in done:
        print(f"{each.claim.name}: {each.claim.claim}")
        print(f"  {each.finding.verdict}, {each.claim.kind}. {each.finding.sentence}")
    print(f"\nReport  {command.runs / 'evidence' / 'report.html'}")
    return 0


def list_claims(command: EvidenceCommand) -> int:
    """Print each claim, with its verdict if it was examined, and return the exit code."""
    if command != EvidenceCommand(runs=command.runs):
        raise UserError("name the claims to examine, or all: without a name evidence lists them")
    width = max(map(len, CLAIMS))
    for claim in map(claim_of, CLAIMS):
        print(f"{claim.name:{width}}  {claim.question}")
        directory = command.runs / "evidence" / claim.name
        if (directory / FILE).is_file():
            record = read_claim(directory)
            print(f"{'':{width}}  {record['claim']}")
            print(f"{'':{width}}  {record['verdict']}, {kind_of(record)}. {record['sentence']}")
    print(f"\n{shlex.join([*PROGRAM, 'evidence', 'all'])} examines them all.")
    return 0
