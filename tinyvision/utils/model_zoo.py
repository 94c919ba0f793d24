"""PyTorch's older place for what is in `tinyvision.hub`."""

from ..hub import load_state_dict_from_url

load_url = load_state_dict_from_url

__all__ = ["load_state_dict_from_url", "load_url"]
