from .routes_models import model_pages_router, models_router
from .shadow_page import shadow_page

__all__ = ["model_pages_router", "models_router", "shadow_page"]
