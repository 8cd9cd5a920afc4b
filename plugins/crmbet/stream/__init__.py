"""The stream: what players do today, from topics of Kafka, batch by batch."""
