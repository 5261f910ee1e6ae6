"""Numbers and nouns as every table, figure and page shows them."""

from __future__ import annotations

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """0.7812 as 78.1."""
    return MISSING if fraction is None else f"{100 * fraction:.{digits}f}"


def signed_points(fraction: float) -> str:
    """0.012 as +1.2, -0.012 as −1.2."""
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def magnitude(value: float | None) -> str:
    """Three digits of a number of any size; a zero without decimals is exactly zero."""
    if value is None or value == 0:
        return MISSING if value is None else "0"
    if 1e-3 <= abs(value) < 999.5:
        return f"{value:#.3g}".rstrip(".")
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:,.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def duration(seconds: float) -> str:
    """3723 as '1 h 2 min', 75 as '1 min 15 s', 4 as '4 s'."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def indefinite_article(noun: str) -> str:
    """A noun behind 'a' or 'an'."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
