from .model_choice import ModelParts, RunModels

__all__ = ["ModelParts", "RunModels"]
