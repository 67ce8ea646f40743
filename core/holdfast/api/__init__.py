"""The Kubernetes API of Holdfast: types of the custom resources, conditions, and the schema made from them."""
