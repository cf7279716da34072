"""AppArmor: what a profile refuses httpd."""

from machine import Case

CASES: list[Case] = [Case("healthy", "", "")]
