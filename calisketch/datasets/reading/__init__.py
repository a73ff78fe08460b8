"""Reading: prepared folders become torch data sets, whose items training puts into batches."""
