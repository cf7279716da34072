"""systemd: what a unit's settings keep from httpd."""

from machine import Case

CASES: list[Case] = []
