"""One HTML page that needs nothing beside it: styles within, images as data, no scripts."""

import base64
import html
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

JPEG_QUALITY = 88
LIGHT = """color-scheme:light;--is-dark:0;--bg:#fbfbf9;--card:#fff;--ink:#1c1e21;--soft:#62676e;--line:#dfe1e4;--warn:#fff4d6;
--warnink:#6b4a00;--c0:#1769c6;--c1:#c4520a;--c2:#2c8a4b;--c3:#8a3fb0"""
DARK = """color-scheme:dark;--is-dark:1;--bg:#15171a;--card:#1e2125;--ink:#e8e9eb;--soft:#a0a6ae;--line:#363b42;--warn:#3a2f12;
--warnink:#ffdf94;--c0:#6cb0ff;--c1:#ffa15e;--c2:#6fd08f;--c3:#d69bf2"""
STYLE = f"""
:root{{{LIGHT}}}
@media (prefers-color-scheme:dark){{:root{{{DARK}}}}}""" + """
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,sans-serif}main{max-width:1120px;margin:0 auto;padding:20px 16px 48px}h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.12rem;margin:34px 0 10px}p{margin:6px 0}.soft,figcaption,.u{color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:16px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px}
.tile b{display:block;font-size:1.35rem;line-height:1.25;font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:.85rem}
.warnings{background:var(--warn);color:var(--warnink);border-radius:8px;padding:8px 14px 8px 30px;margin:14px 0}
table{border-collapse:collapse;width:100%}td,th{padding:4px 14px 4px 0;text-align:left;vertical-align:top;border-bottom:1px solid
var(--line);overflow-wrap:anywhere;font-variant-numeric:tabular-nums}th{font-weight:600}tbody th{font-weight:400;color:var(--soft);
min-width:7.5em}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:12px}
.chart{display:block;width:100%;height:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:6px}
.chart text{font:12px system-ui,sans-serif;fill:var(--ink)}.chart .t{font-weight:600;font-size:13px}.chart .u,.chart .n{fill:
var(--soft);font-weight:400}.g{stroke:var(--line);fill:none}.c{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.raw{opacity:.28;stroke-width:1}.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}
.chart .l0{fill:var(--c0)}.chart .l1{fill:var(--c1)}.chart .l2{fill:var(--c2)}.chart .l3{fill:var(--c3)}
.sheet{display:grid;gap:8px;margin:6px 0 18px}.four{grid-template-columns:repeat(4,1fr)}.six{grid-template-columns:repeat(6,1fr)}
figure{margin:0;min-width:0}figure img{display:block;width:100%;height:auto;border-radius:5px}.six figure{background:var(--card);
border:1px solid var(--line);border-radius:8px}figcaption{font-size:.84rem;padding:2px 2px 0}.six figcaption{padding:0 8px 4px}
h3{font-size:.95rem;font-weight:600;margin:14px 0 4px}.bar{display:flex;height:22px;border-radius:6px;overflow:hidden;margin:8px 0}
.bar i{min-width:1px}.key{display:inline-block;width:.8em;height:.8em;border-radius:3px;margin-right:.45em}
.scale{display:flex;align-items:center;gap:8px;margin:4px 0;flex-wrap:wrap;font-size:.86rem;color:var(--soft)}
.scale img{width:180px;height:11px;border-radius:3px}
details{margin:10px 0}summary{cursor:pointer;color:var(--soft)}pre{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:10px;overflow-x:auto;font-size:12.5px}
@media (max-width:640px){.four{grid-template-columns:repeat(2,1fr)}.six{grid-template-columns:repeat(3,1fr)}
.a{order:1}.b{order:2}.tiles{grid-template-columns:repeat(2,1fr)}td,th{padding-right:8px}}
"""
# Stages of a run, distinguishable on light and dark ground.
BAR_COLORS = ("#4d87d6", "#d9863d", "#55a868", "#b56bc9", "#c0504d", "#8c8c5a", "#6b7a8f", "#3aa5a5")


def page(title: str, subtitle: str, sections: Iterable[str], head: str = "") -> str:
    """A whole page of sections, which are HTML as is what `head` adds to the page's; title and subtitle are plain text."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>{head}</head>\n<body><main>"
        f'<header><h1>{html.escape(title)}</h1><p class="soft">{html.escape(subtitle)}</p></header>\n'
        + "\n".join(part for part in sections if part)
        + "\n</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A titled part of the page; nothing if it has no content."""
    body = "".join(parts)
    return f"<section><h2>{html.escape(title)}</h2>{body}</section>" if body else ""


def paragraph(text: str) -> str:
    """A remark of plain text."""
    return f'<p class="soft">{html.escape(text)}</p>'


def tiles(numbers: Sequence[tuple[str, str]]) -> str:
    """The numbers of first interest: (number, what it is) each."""
    cells = (f'<div class="tile"><b>{html.escape(n)}</b><span>{html.escape(what)}</span></div>' for n, what in numbers)
    return f'<div class="tiles">{"".join(cells)}</div>'


def warning_list(warnings: Sequence[str]) -> str:
    """What a user should look at; nothing if there is nothing."""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in warnings)
    return f'<ul class="warnings">{items}</ul>' if items else ""


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Rows of plain text, the first of each being what the others are values of.

    >>> table([("seed", "0")])
    '<table><tbody><tr><th>seed</th><td>0</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr><th>{html.escape(first)}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def figure(image: NDArray, caption: str, kind: str = "") -> str:
    """An image (H, W, 3 or 4) uint8 with a caption of plain text; `kind` is a class of the style."""
    height, width = image.shape[:2]
    text = html.escape(caption)
    return (
        f'<figure{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}><img src="{data_uri(image)}" width="{width}" '
        f'height="{height}" alt="{text}"><figcaption>{text}</figcaption></figure>'
    )


def sheet(figures: Iterable[str], columns: str = "four") -> str:
    """Figures side by side: `four`, or `six`, in a row; fewer on a narrow screen."""
    return f'<div class="sheet {columns}">{"".join(figures)}</div>'


def color_scale(bar: NDArray, low: str, high: str) -> str:
    """A bar of colours (h, w, 3) between the values of its ends."""
    return f'<div class="scale"><span>{html.escape(low)}</span><img src="{data_uri(bar)}" alt=""><span>{html.escape(high)}</span></div>'


def details(summary: str, text: str) -> str:
    """Long plain text behind a line to click on."""
    return f"<details><summary>{html.escape(summary)}</summary><pre>{html.escape(text)}</pre></details>"


def time_bar(seconds: dict[str, float]) -> str:
    """Where time went: a bar of all stages and a table with the seconds of each."""
    whole = max(sum(seconds.values()), 1e-9)
    colors = {name: BAR_COLORS[i % len(BAR_COLORS)] for i, name in enumerate(seconds)}
    bar = "".join(f'<i style="flex:{s / whole:.5f};background:{colors[name]}"></i>' for name, s in seconds.items())
    rows = "".join(
        f'<tr><th><span class="key" style="background:{colors[name]}"></span>{html.escape(name)}</th>'
        f"<td>{duration(s)}</td><td>{100 * s / whole:.1f} %</td></tr>"
        for name, s in seconds.items()
    )
    return f'<div class="bar">{bar}</div><table><tbody>{rows}</tbody></table>'


def duration(seconds: float) -> str:
    """Seconds, or hours, minutes and seconds.

    >>> duration(4.23), duration(83.0), duration(7384.0)
    ('4.2 s', '1 min 23 s', '2 h 3 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def data_uri(image: NDArray) -> str:
    """An image (H, W, 3) RGB as JPEG, or (H, W, 4) RGBA as PNG, uint8, written into the page itself."""
    has_alpha = image.shape[2] == 4
    suffix, mime, options = (
        (".png", "png", []) if has_alpha else (".jpg", "jpeg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    )
    swapped = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGBA2BGRA if has_alpha else cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(suffix, swapped, options)[1]
    return f"data:image/{mime};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
