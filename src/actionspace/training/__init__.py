"""Run folders, prediction folders and the record of what a run ran on."""
