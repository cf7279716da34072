"""The page that all contestants send: mod_dbtest's own, taken apart into its literal pieces and its fields.

The bench asks mod_dbtest for a page of known rows and finds them in it. What lies between is literal, and goes to the
C, Flask and PHP peers as their template; so a change to our page changes theirs, and nobody maintains a copy.
"""

import html
import re
from dataclasses import dataclass

ID, STUFF, THINGS = "\x02", "\x03", "\x04"
# what our templates write for what HTML wants escaped
ESCAPES = {"&": "&#38;", "<": "&#60;", ">": "&#62;", '"': "&#34;", "'": "&#39;"}
# above those of the ten million rows in data.py
FIRST_ID = 20_000_001
# the one part of a page that differs from request to request: how long the query took
TOOK = re.compile(r"(<dt>Query</dt><dd>)[^<]*")


def row(number):
    """The texts of one row: a little of everything that has to be escaped, at a usual length."""
    stuff = f'Deployment check {number % 100000:05d}: <web01> & "db01"'
    things = (
        f"Rolled out by the night shift, ticket OPS-{number * 7919 % 100000:05d}; it's reachable from café and office, "
        "latency below 2 ms, nothing else to report."
    )
    return stuff, things


@dataclass
class Page:
    """head, then for each row its pieces (a literal, then a field), a gap between rows, tail."""

    head: str
    pieces: list
    gap: str
    tail: str

    def render(self, rows, escapes):
        """The whole page, as a contestant with these escapes sends it."""
        table = str.maketrans(escapes)
        fields = [{ID: str(i), STUFF: s.translate(table), THINGS: t.translate(table)} for i, s, t in rows]
        one = lambda field: "".join(literal + field[name] for literal, name in self.pieces)
        return self.head + self.gap.join(map(one, fields)) + self.tail


def take_apart(body, rows):
    """Finds the rows (newest first) in our page."""
    table = str.maketrans(ESCAPES)
    marked = body
    for number, stuff, things in rows:
        for text, mark in ((stuff.translate(table), STUFF), (things.translate(table), THINGS), (str(number), ID)):
            if text not in marked:
                raise ValueError(f"row {number}: {text!r} is not in the page")
            marked = marked.replace(text, mark)
    first = re.search(f"[{ID}{STUFF}{THINGS}]", marked).start()
    # a row ends with its longest text; what follows the last one's is the tail, whatever ids it holds
    ends = [found.end() for found in re.finditer(THINGS, marked)]
    if len(ends) != len(rows):
        raise ValueError("a row's text stands in the page more than once")
    pieces = re.findall(f"([^{ID}{STUFF}{THINGS}]*)([{ID}{STUFF}{THINGS}])", marked[first : ends[0]])
    gap = re.match(f"[^{ID}{STUFF}{THINGS}]*", marked[ends[0] :]).group()
    tail = body[len(body) - len(unmarked_tail(marked[ends[-1] :], rows)) :]
    page = Page(body[:first], pieces, gap, tail)
    if page.render(rows, ESCAPES) != body:
        raise ValueError("the rows of the page do not all look the same")
    return page


def unmarked_tail(text, rows):
    """The tail names the last row's id only, in the link to older rows."""
    return text.replace(ID, str(rows[-1][0]))


def for_c(page):
    """The file that mod_cpeer.c reads: see set_page there."""
    pieces = "".join(literal + field for literal, field in page.pieces)
    escapes = "".join(f"\x07{character}{text}" for character, text in ESCAPES.items())
    return f"{page.head}\x01{pieces}\x05{page.gap}\x06{page.tail}{escapes}"


def for_jinja(page):
    """The template of the Flask peer."""
    raw = lambda text: f"{{% raw %}}{text}{{% endraw %}}" if text else ""
    names = {ID: "{{ row.id }}", STUFF: "{{ row.stuff }}", THINGS: "{{ row.things }}"}
    pieces = "".join(raw(literal) + names[field] for literal, field in page.pieces)
    between = f"{{% if not loop.last %}}{raw(page.gap)}{{% endif %}}"
    return f"{raw(page.head)}{{% for row in rows %}}{pieces}{between}{{% endfor %}}{raw(page.tail)}"


def for_php(page):
    """The template of the PHP peer."""
    names = {
        ID: "<?= $row->id ?>",
        STUFF: "<?= htmlspecialchars($row->stuff) ?>",
        THINGS: "<?= htmlspecialchars($row->things) ?>",
    }
    # PHP drops a line break that follows its closing tag
    kept = lambda text: text if not text.startswith("\n") else "\n" + text
    pieces = "".join(kept(literal) + names[field] for literal, field in page.pieces)
    between = f'<?php if ($i < count($rows) - 1): ?>{kept(page.gap)}<?php endif ?>'
    return f"{page.head}<?php foreach ($rows as $i => $row): ?>{pieces}{between}<?php endforeach ?>{kept(page.tail)}"


def text_of(body):
    """What a reader sees: escapes undone, the time of the query left out; equal for all contestants."""
    return TOOK.sub(r"\1", html.unescape(body))
