"""Networks: their training, and the model that travels from training to map. The only room that knows torch."""
