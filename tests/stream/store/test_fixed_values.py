"""The numbers and switches of the store that stand outside of functions, all at once."""

from stream.store import (
    account_table,
    backlog,
    cell_body,
    identity_table,
    journal,
    leases,
    ome_images,
    outbox,
    outbox_record,
    private_files,
    results,
    shadow_results,
    slide_queries,
    slide_store,
    store_figures,
    trail_records,
)
from stream.store.database import backend, postgresql, sqlite, state
from stream.store.people import provided
from stream.store.places import result_place
from stream.store.search import likeness, likeness_index
from stream.store.upkeep import removal
from stream.store.upkeep.snapshot import snapshot
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        account_table,
        backlog,
        cell_body,
        identity_table,
        journal,
        leases,
        ome_images,
        outbox,
        outbox_record,
        private_files,
        results,
        shadow_results,
        slide_queries,
        slide_store,
        store_figures,
        trail_records,
        backend,
        postgresql,
        sqlite,
        state,
        provided,
        result_place,
        likeness,
        likeness_index,
        removal,
        snapshot,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
