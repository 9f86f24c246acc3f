"""The numbers and switches of the alerts that stand outside of functions, all at once."""

from stream.alerts import cell_rules, expected, red_cell_rules, slide_rules
from stream.alerts.rare_classes import rare_classes
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        cell_rules,
        expected,
        red_cell_rules,
        slide_rules,
        rare_classes,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
