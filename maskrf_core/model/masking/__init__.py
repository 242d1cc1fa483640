"""What is masked (`strategies`), what is predicted from the rest, and the target that follows (`prediction`)."""
