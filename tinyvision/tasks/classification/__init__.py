"""Classification on the command line; the task is `train.Classification`, its data and networks are `train.recipes`."""
