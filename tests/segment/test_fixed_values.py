"""The numbers and switches of the segmentation that stand outside of functions, all at once."""

from segment import (
    cells,
    crops,
    grid,
    kinds,
    masks,
    nuclei,
    peaks,
    platelets,
    red_cell_fields,
    red_cells,
    region,
    scan,
    smear_check,
    stain,
    white_cells,
)
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        cells,
        crops,
        grid,
        kinds,
        masks,
        nuclei,
        peaks,
        platelets,
        red_cell_fields,
        red_cells,
        region,
        scan,
        smear_check,
        stain,
        white_cells,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
