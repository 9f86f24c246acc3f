from .commands import bench_app

__all__ = ["bench_app"]
