"""What the scripts that write tables into pages share: markers, markdown, and what is a potential."""

from pathlib import Path


def is_potential(file: Path) -> bool:
    """Whether the first line is LAMMPS's metadata comment; configurations lie beside potentials."""
    with open(file, encoding="utf-8") as stream:
        return stream.readline().startswith("# DATE:")


def replace(page: Path, text: str, tables: dict[str, str]) -> str:
    """A page's text with other tables between the markers of their names. Raises SystemExit where one is missing."""
    for name, table in tables.items():
        begin, end = f"<!-- table {name} -->\n", "<!-- end -->"
        before, _, rest = text.partition(begin)
        _, marker, after = rest.partition(end)
        if not marker:
            raise SystemExit(f"{page}: has no lines {begin.strip()} and {end}; add them")
        text = before + begin + table + end + after
    return text


def markdown(heads: list[str], rows: list[list[str]], aligned: str = "---") -> str:
    """A table; aligned: the columns behind the first, "---:" for numbers on their right."""
    lines = [heads, ["---", *[aligned] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
