"""Where the results of a store lie: in its folder, or in a bucket."""

from .result_place import (
    BucketPlace,
    StorePlace,
    answered,
    open_group,
    patiently,
    reading,
    remove_results,
    results_of,
    store_path,
    store_paths,
    use_bucket,
)

__all__ = [
    "BucketPlace",
    "StorePlace",
    "answered",
    "open_group",
    "patiently",
    "reading",
    "remove_results",
    "results_of",
    "store_path",
    "store_paths",
    "use_bucket",
]
