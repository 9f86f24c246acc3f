"""The numbers and switches of the intake that stand outside of functions, all at once."""

from stream.intake import folder, http
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        folder,
        http,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
