"""HTML of the rendered pictures: signs, receipts, tables, pages and plain shapes, for a screenshot by Chromium."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Html:
    """The body of a page and the size of its screenshot in CSS pixels."""

    body: str
    width: int = 640
    height: int = 480


def sign(
    lines: Sequence[str],
    *,
    font: str = "DejaVu Sans",
    ink: str = "white",
    board: str = "#1d4e89",
    wall: str = "#b9a48c",
    size_px: int = 64,
    tilt: str = "rotateY(12deg)",
    radius_px: int = 8,
) -> Html:
    """A board on a wall, seen a little from the side; the first line is the largest."""
    rows = "".join(
        f'<div style="font-size:{size_px if not number else size_px * 5 // 8}px">{html.escape(line)}</div>'
        for number, line in enumerate(lines)
    )
    return Html(
        f'<div style="width:100%;height:100%;display:flex;align-items:center;justify-content:center;perspective:900px;'
        f'background:linear-gradient(160deg,{wall},color-mix(in srgb,{wall},black 35%))">'
        f"<div style=\"font-family:'{font}';color:{ink};background:{board};border:5px solid {ink};padding:26px 40px;"
        f"border-radius:{radius_px}px;text-align:center;line-height:1.3;transform:{tilt};"
        f'box-shadow:8px 10px 18px #0007;max-width:540px">{rows}</div></div>'
    )


def receipt(shop: str, lines: Sequence[tuple[str, str]], foot: Sequence[str], *, font: str, width: int = 420) -> Html:
    """A till receipt on a table; an empty price makes a line of text."""
    rows = "".join(
        f'<div style="display:flex;justify-content:space-between"><span>{html.escape(name)}</span>'
        f"<span>{html.escape(price)}</span></div>"
        for name, price in lines
    )
    ends = "".join(f"<div style='text-align:center'>{html.escape(line)}</div>" for line in foot)
    height = 190 + 31 * (len(lines) + len(foot))
    return Html(
        f'<div style="height:100%;background:#6b5138;padding:24px;box-sizing:border-box">'
        f"<div style=\"background:#fbfaf5;font-family:'{font}';font-size:20px;line-height:1.5;padding:20px 26px;"
        f'transform:rotate(-0.6deg)"><div style="text-align:center;font-size:27px;font-weight:bold">{html.escape(shop)}'
        f"</div><hr>{rows}<hr>{ends}</div></div>",
        width,
        height,
    )


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, font: str, accent: str = "#345") -> Html:
    """A titled table with a header row."""
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    heads = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    return Html(
        f"<style>table{{border-collapse:collapse;font-size:21px;width:100%}}td,th{{border:1px solid #888;"
        f"padding:8px 14px;"
        f"text-align:left}}th{{background:{accent};color:white}}</style>"
        f"<div style=\"font-family:'{font}';padding:26px;background:white;height:100%;box-sizing:border-box\">"
        f"<h2 style='margin:0 0 16px'>{html.escape(title)}</h2>"
        f"<table><tr>{heads}</tr>{cells}</table></div>",
        640,
        120 + 43 * (len(rows) + 1),
    )


def page(body: str, *, font: str, width: int = 720, height: int = 520, background: str = "white") -> Html:
    """A page of free HTML."""
    return Html(
        f"<div style=\"font-family:'{font}';background:{background};height:100%;padding:28px 34px;"
        f"box-sizing:border-box;"
        f'font-size:20px;line-height:1.4;color:#222">{body}</div>',
        width,
        height,
    )


def shapes(items: Sequence[tuple[str, str, float, float, float]], *, background: str = "white") -> Html:
    """Plain shapes, each `(shape, color, x, y, radius)` in a square of 100; for a screenshot of 480 pixels."""
    drawn = "".join(_shape(*item) for item in items)
    return Html(
        f'<svg viewBox="0 0 100 100" style="width:100%;height:100%;background:{background}">{drawn}</svg>', 480, 480
    )


def _shape(shape: str, color: str, x: float, y: float, radius: float) -> str:
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{color}"/>'
    if shape == "ring":
        return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="none" stroke="{color}" stroke-width="{radius / 4}"/>'
    if shape == "oval":
        return f'<ellipse cx="{x}" cy="{y}" rx="{radius}" ry="{radius * 0.55}" fill="{color}"/>'
    if shape == "rectangle":
        return f'<rect x="{x - radius}" y="{y - radius / 2}" width="{2 * radius}" height="{radius}" fill="{color}"/>'
    if shape == "cross":
        arm = radius / 3
        path = f"M{x - arm},{y - radius}h{2 * arm}v{radius - arm}h{radius - arm}v{2 * arm}h{arm - radius}"
        path += f"v{radius - arm}h{-2 * arm}v{arm - radius}h{arm - radius}v{-2 * arm}h{radius - arm}z"
        return f'<path d="{path}" fill="{color}"/>'
    corners, turn, inner = {
        "triangle": (3, -90.0, 1.0),
        "square": (4, -45.0, 1.0),
        "diamond": (4, -90.0, 1.0),
        "pentagon": (5, -90.0, 1.0),
        "hexagon": (6, 0.0, 1.0),
        "star": (10, -90.0, 0.42),
    }[shape]
    points = []
    for number in range(corners):
        reach = radius * (inner if number % 2 else 1.0)
        angle = math.radians(turn + 360 * number / corners)
        points.append(f"{x + reach * math.cos(angle):.2f},{y + reach * math.sin(angle):.2f}")
    return f'<polygon points="{" ".join(points)}" fill="{color}"/>'
