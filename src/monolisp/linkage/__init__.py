"""Names and tables: what archives and objects define, and the C tables made from them."""
