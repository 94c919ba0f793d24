"""torchvision's place for what is in `tinyvision.models.feature_extraction`."""

from ...models.feature_extraction import create_feature_extractor, get_graph_node_names

__all__ = ["create_feature_extractor", "get_graph_node_names"]
