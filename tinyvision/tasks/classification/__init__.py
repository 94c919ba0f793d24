"""Classification on the command line; the task itself is `train.Classification`, its data and networks are in
`train.recipes`."""
