"""The study of docs/study.md: its plan (`plan`), how it runs (`running`, `scoring`) and its table (`rows`)."""
