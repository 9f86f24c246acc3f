"""Where the results of a store lie: in its folder, or in a bucket."""

from .kept_objects import KeptObjects
from .result_place import (
    RESULTS_FILE,
    BucketObject,
    BucketPlace,
    StorePlace,
    answered,
    bucket_objects,
    fetch_object,
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
    "RESULTS_FILE",
    "BucketObject",
    "BucketPlace",
    "KeptObjects",
    "StorePlace",
    "answered",
    "bucket_objects",
    "fetch_object",
    "open_group",
    "patiently",
    "reading",
    "remove_results",
    "results_of",
    "store_path",
    "store_paths",
    "use_bucket",
]
