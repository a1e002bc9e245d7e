"""The ML lane: data, features, training, deployment, prediction; imports point upstream only."""
