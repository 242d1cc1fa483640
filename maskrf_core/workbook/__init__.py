"""What notebooks show and do: parameters, experiments, tables, figures, and executing the notebooks themselves."""
