"""The numbers and switches of a run that stand outside of functions, all at once."""

from stream.run import (
    context,
    pipeline,
    progress,
    red_cells,
    red_morphology,
    shadow,
    slide_run,
    tile_judge,
    worker,
)
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        context,
        pipeline,
        progress,
        red_cells,
        red_morphology,
        shadow,
        slide_run,
        tile_judge,
        worker,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
